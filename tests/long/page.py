"""The page docs/long-tests.md: what the long tests did when they last ran as a whole module.

A test puts figures into its row by pytest's own fixture: `record_property("stored", 392)`.
"""

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from testbed import pins
from testbed.places import ROOT

PAGE = ROOT / "docs/long-tests.md"
HEAD = """\
<!-- Written by `make test-long`; do not edit. -->

# Results of the long tests

`make test-long` runs the tests that take too long for `make test`. Each section shows the last run
of a whole test module.
"""
RAN_ON = "Ran on "
UNKNOWN = "a commit that was not recorded"


class LongTestsPage:
    """Collects the reports of the session's long tests, and writes them down at its end."""

    def __init__(self, page: Path = PAGE, revision: Callable[[], str] | None = None) -> None:
        self.page = page
        self.revision = revision or revision_of
        self.begun_on = ""
        self.rows: dict[str, dict[str, list[pytest.TestReport]]] = {}
        self.is_whole = True

    def pytest_collection_finish(self) -> None:
        """Record the tested commit: the checkout may have changed when the session ends."""
        self.begun_on = self.revision()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note that only some tests of a module run: its section would lack the others."""
        self.is_whole = self.is_whole and not items

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of a test's phases: setup, the test itself, teardown."""
        path, _, test = report.nodeid.partition("::")
        if path.startswith("tests/long/"):
            self.rows.setdefault(Path(path).stem, {}).setdefault(test, []).append(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the sections of the modules that ran; those of the others stay."""
        chosen = any("::" in argument for argument in session.config.args)
        # An interrupted test has a set-up that passed, and nothing more.
        is_cut = getattr(session, "exitstatus", 0) == pytest.ExitCode.INTERRUPTED
        if not self.rows or chosen or is_cut or not self.is_whole:
            return
        there = self.page.read_text() if self.page.exists() else ""
        ran_on, ended_on = self.begun_on, self.revision()
        if ended_on != ran_on:
            ran_on += f", which was {ended_on} at the end"
        new = {name: section(rows, ran_on) for name, rows in self.rows.items()}
        self.page.write_text(merged(there, new))


def merged(page: str, sections: dict[str, str]) -> str:
    """Return the page with `sections` new or in place of the old ones of their names."""
    parts = re.split(r"^## (\w+)\n", page, flags=re.MULTILINE)[1:]
    old = dict(zip(parts[::2], parts[1::2], strict=True))
    both = {name: text.strip() for name, text in (old | sections).items()}
    text = "".join(f"\n## {name}\n\n{both[name]}\n" for name in sorted(both))
    return f"{HEAD}\n{commits_of(both)}\n{text}"


def commits_of(sections: dict[str, str]) -> str:
    """Return a sentence or list with the commit of each module, from their sections."""
    modules = defaultdict(list)
    for name, text in sorted(sections.items()):
        said = re.match(rf"{RAN_ON}(.+?);", text)
        modules[said[1] if said else UNKNOWN].append(name)
    if len(modules) == 1 and UNKNOWN not in modules:
        return f"All modules ran on {next(iter(modules))}."
    rows = [f"- {commit}: {', '.join(names)}" for commit, names in modules.items()]
    return "\n".join(["The modules did not all run on one known commit:", "", *rows])


def revision_of(root: Path = ROOT) -> str:
    """Return the commit of a checkout, and whether the files differ from it.

    The page itself does not count: each run writes it.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    others = f":!{PAGE.relative_to(ROOT)}"
    changes = git("status", "--porcelain", "--untracked-files=all", "--", ".", others)
    tree = "with uncommitted changes" if changes else "clean tree"
    return f"commit {git('rev-parse', '--short', 'HEAD')} ({tree})"


def section(rows: dict[str, list[pytest.TestReport]], ran_on: str) -> str:
    """Return a module's commit and table: each test's outcome, seconds and figures."""
    facts = [f"{datetime.now(UTC):%Y-%m-%d}", *versions(), f"{os.cpu_count()} cores"]
    lines = [f"{RAN_ON}{ran_on}; {', '.join(facts)}.", ""]
    lines += ["| test | outcome | seconds | figures |", "|---|---|---|---|"]
    for test, reports in rows.items():
        figures = {name: value for report in reports for name, value in report.user_properties}
        shown = ", ".join(f"{name} {value}" for name, value in figures.items())
        seconds = sum(report.duration for report in reports)
        cells = (test, outcome_of(reports), f"{seconds:.0f}", shown)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def outcome_of(reports: list[pytest.TestReport]) -> str:
    """Return the worst that a phase says: failed, skipped, passed."""
    outcomes = {report.outcome for report in reports}
    return next(one for one in ("failed", "skipped", "passed") if one in outcomes)


def versions() -> list[str]:
    """Return what the tests ran against."""
    operator = _pin("testbed/go/spark-operator/go.mod", r"spark-operator/v2 v(\S+)")
    kafka = _pin("testbed/pom.xml", r"<version>(\d+\.\d+\.\d+)</version>")
    return [
        f"Airflow {version('apache-airflow')}",
        f"Kubernetes {pins.KUBERNETES}",
        f"Spark Operator {operator}",
        f"Kafka {kafka}",
    ]


def _pin(file: str, pattern: str) -> str:
    match = re.search(pattern, (ROOT / file).read_text())
    assert match, f"{file} holds no {pattern}"
    return match[1]

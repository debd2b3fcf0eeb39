"""The page docs/long-tests.md: what the long tests did when they last ran as a whole module.

A test puts figures into its row by pytest's own fixture: `record_property("stored", 392)`.
"""

import os
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from testbed import pins
from testbed.places import ROOT

PAGE = ROOT / "docs/long-tests.md"
HEAD = """\
<!-- Written by `make test-long`; do not edit. -->

# What the long tests did

`make test-long` runs what `make test` has no time for. Each section is a whole module of tests, as
it ran last.
"""


class LongTestsPage:
    """Collects the reports of the session's long tests, and writes them down at its end."""

    def __init__(self, page: Path = PAGE) -> None:
        self.page = page
        self.rows: dict[str, dict[str, list[pytest.TestReport]]] = {}
        self.is_whole = True

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """A module of which only some tests run says nothing of the others."""
        self.is_whole = self.is_whole and not items

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test's phases say: set-up, the test itself, tear-down."""
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
        self.page.write_text(merged(there, {name: section(self.rows[name]) for name in self.rows}))


def merged(page: str, sections: dict[str, str]) -> str:
    """Return the page with `sections` new or in place of the old ones of their names."""
    parts = re.split(r"^## (\w+)\n", page, flags=re.MULTILINE)[1:]
    old = dict(zip(parts[::2], parts[1::2], strict=True))
    both = {name: text.strip() for name, text in (old | sections).items()}
    return HEAD + "".join(f"\n## {name}\n\n{both[name]}\n" for name in sorted(both))


def section(rows: dict[str, list[pytest.TestReport]]) -> str:
    """Return a module's table: each test's outcome, seconds and figures."""
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {', '.join(versions())}, {os.cpu_count()} cores.", ""]
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

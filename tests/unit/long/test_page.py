import subprocess
from types import SimpleNamespace

import pytest

from tests.long.page import HEAD, LongTestsPage, commits_of, merged, revision_of, section

TEST = "tests/long/test_stores.py::test_alerts_are_stored[pvc|hdfs]"
CLEAN = "commit 1234abc (clean tree)"
DIRTY = "commit 1234abc (with uncommitted changes)"
OTHER = "commit 9876fed (clean tree)"


def report(when, outcome="passed", duration=1.0, test=TEST, **figures):
    return pytest.TestReport(
        test, ("", None, ""), {}, outcome, None, when, duration=duration,
        user_properties=list(figures.items()),
    )  # fmt: skip


def session(*arguments):
    return SimpleNamespace(config=SimpleNamespace(args=list(arguments)))


@pytest.fixture
def page(tmp_path):
    return LongTestsPage(tmp_path / "long-tests.md", lambda: CLEAN)


def run(page, *reports, arguments=("tests/long",)):
    page.pytest_collection_finish()
    for one in reports:
        page.pytest_runtest_logreport(one)
    page.pytest_sessionfinish(session(*arguments))


def test_a_row_adds_up_the_phases_and_has_the_figures(page):
    run(page, report("setup", duration=30), report("call", duration=12.4, read=400, stored=392))
    text = page.page.read_text()
    assert "## test_stores\n" in text
    assert "| test_alerts_are_stored[pvc\\|hdfs] | passed | 42 | read 400, stored 392 |" in text


def test_a_failure_in_any_phase_is_the_outcome():
    rows = {"test_x": [report("setup"), report("call"), report("teardown", "failed")]}
    assert "| test_x | failed | 3 |" in section(rows, CLEAN)


def test_modules_that_did_not_run_keep_their_sections(page):
    page.page.write_text(merged("", {"test_releases": "old", "test_stores": "old"}))
    run(page, report("call"))
    text = page.page.read_text()
    assert "## test_releases\n\nold\n" in text
    assert text.count("old") == 1
    assert text.startswith(HEAD)


@pytest.mark.parametrize(
    ("deselected", "argument"), [([object()], "tests/long"), ([], f"{TEST}"), ([], "")]
)
def test_part_of_a_module_changes_nothing(page, deselected, argument):
    page.page.write_text("as it was")
    page.pytest_deselected(deselected)
    other = report("call", test="tests/e2e/test_deploy.py::test_x")
    run(page, report("call") if argument else other, arguments=[argument])
    assert page.page.read_text() == "as it was"


def test_each_section_and_the_page_name_the_commit(page):
    run(page, report("call"))
    run(page, report("call", test="tests/long/test_night.py::test_x"))
    text = page.page.read_text()
    assert text.count(f"\nRan on {CLEAN}; ") == 2
    assert f"\nAll modules ran on {CLEAN}.\n\n## test_night\n" in text


def test_a_checkout_that_changes_under_the_run_is_told(page):
    revisions = [CLEAN, OTHER]
    page.revision = lambda: revisions.pop(0)
    run(page, report("call"))
    ran_on = f"{CLEAN}, which was {OTHER} at the end"
    assert f"\nRan on {ran_on}; " in page.page.read_text()
    assert f"All modules ran on {ran_on}." in page.page.read_text()


def test_modules_of_other_commits_are_named_with_theirs(page):
    page.page.write_text(merged("", {"test_stop": "2026-11-29, Airflow 3.3.2, 2 cores."}))
    run(page, report("call"))
    page.revision = lambda: OTHER
    page.rows = {}
    run(page, report("call", test="tests/long/test_night.py::test_x"))
    text = page.page.read_text()
    assert (
        "The modules did not all run on one known commit:\n\n"
        f"- {OTHER}: test_night\n"
        "- a commit that was not recorded: test_stop\n"
        f"- {CLEAN}: test_stores\n"
    ) in text
    assert "All modules" not in text


@pytest.mark.parametrize(
    ("commits", "is_one"),
    [
        ([CLEAN], True),
        ([CLEAN, CLEAN], True),
        ([DIRTY, DIRTY], True),
        ([CLEAN, DIRTY], False),
        ([CLEAN, OTHER], False),
        ([CLEAN, None], False),
        ([None, None], False),
    ],
)
def test_modules_ran_on_one_commit_only_where_each_says_so(commits, is_one):
    sections = {
        f"test_{nth}": f"Ran on {commit}; 2 cores." if commit else "2 cores."
        for nth, commit in enumerate(commits)
    }
    assert commits_of(sections).startswith("All modules ran on ") is is_one


@pytest.fixture
def checkout(tmp_path):
    """A checkout of one commit, with the page in it."""

    def git(*words):
        who = ("-c", "user.name=fink", "-c", "user.email=fink@example.org")
        done = subprocess.run(
            ["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    (tmp_path / "docs").mkdir()
    for name in ("job.py", "docs/long-tests.md", ".gitignore"):
        (tmp_path / name).write_text("ignored.py\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return SimpleNamespace(path=tmp_path, commit=git("rev-parse", "--short", "HEAD"))


@pytest.mark.parametrize(
    ("changed", "tree"),
    [
        ([], "clean tree"),
        (["docs/long-tests.md", "ignored.py"], "clean tree"),
        (["job.py"], "with uncommitted changes"),
        (["new.py"], "with uncommitted changes"),
        (["docs/long-tests.md", "docs/new.md"], "with uncommitted changes"),
    ],
)
def test_a_checkout_s_commit_is_told_with_whether_anything_differs(checkout, changed, tree):
    for name in changed:
        (checkout.path / name).write_text("changed")
    assert revision_of(checkout.path) == f"commit {checkout.commit} ({tree})"

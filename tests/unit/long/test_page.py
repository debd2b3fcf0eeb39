from types import SimpleNamespace

import pytest

from tests.long.page import HEAD, LongTestsPage, merged, section

TEST = "tests/long/test_stores.py::test_alerts_are_stored[pvc|hdfs]"


def report(when, outcome="passed", duration=1.0, test=TEST, **figures):
    return pytest.TestReport(
        test, ("", None, ""), {}, outcome, None, when, duration=duration,
        user_properties=list(figures.items()),
    )  # fmt: skip


def session(*arguments):
    return SimpleNamespace(config=SimpleNamespace(args=list(arguments)))


@pytest.fixture
def page(tmp_path):
    return LongTestsPage(tmp_path / "long-tests.md")


def run(page, *reports, arguments=("tests/long",)):
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
    assert "| test_x | failed | 3 |" in section(rows)


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

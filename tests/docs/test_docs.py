"""The documentation says what is so: generated pages are fresh, commands and links exist."""

import re
import subprocess

import pytest

from docs.generate import ROOT, pages
from fink_k8s.core.config.surveys import SHIPPED, surveys_from
from fink_k8s.core.night.night_request import night_form_from

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_generated_pages_are_fresh(path):
    assert path.read_text() == pages()[path], "stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_make_targets_exist(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert target in targets, target
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link


_FILE = re.compile(r"[\w.-]+\.(?:avsc|md|py|toml|txt|xml|yaml)|(?:[\w.*-]+/)+[\w.*-]*")


def missing_paths(text, tracked):
    """Return the paths in code quotes, below the root or a bare file name, that do not exist."""
    names = {path.rpartition("/")[2] for path in tracked}
    quoted = re.findall(r"`([^`\s]+)`", text)
    return [
        path
        for path in (word.partition("::")[0] for word in quoted)
        if _FILE.fullmatch(path) and path not in names and not any(ROOT.glob(path.rstrip("/")))
    ]


def test_every_path_in_contributing_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert missing_paths(text, TRACKED) == []


def test_a_path_that_does_not_exist_is_found():
    text = (
        "`include/nowhere`, `dags/fink_deploy.py`, `gone.py`, `pins.py`, `docs/*.md`, `x/*.md`, `a`"
    )
    assert missing_paths(text, TRACKED) == ["include/nowhere", "gone.py", "x/*.md"]


def test_the_page_of_nights_has_each_survey_as_it_is():
    text = (ROOT / "docs/nights.md").read_text()
    rows = [
        tuple(cell.strip(" `") for cell in line.split("|")[1:-1])
        for line in text.partition("## ")[0].partition("|---|---|---|---|---|")[2].splitlines()
        if re.match(r"\| `[a-z]", line) and line.count("|") == 6
    ]
    assert rows == [
        (
            survey.name,
            survey.night.zone,
            survey.night.opens,
            survey.night.closes,
            survey.topic or "named in the form",
        )
        for survey in surveys_from(SHIPPED.read_text()).surveys
    ]
    (example,) = re.findall(r"^```yaml\n(.*?)```$", text, re.M | re.S)
    for survey in surveys_from(example).surveys:
        night_form_from(survey)


def test_readme_lists_every_dag():
    text = (ROOT / "README.md").read_text()
    for file in (ROOT / "dags").glob("*.py"):
        shown = "fink_night_<survey>" if file.stem == "fink_night" else file.stem
        assert f"`{shown}`" in text


def test_every_dependency_has_its_reason():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for file in ("requirements.in", "requirements-dev.in"):
        for line in (ROOT / file).read_text().splitlines():
            if match := re.match(r"([A-Za-z0-9_-]+)==", line):
                assert f"| {match[1]} |" in text, match[1]


@pytest.mark.parametrize("secret", [r"https?://[^ ]*/simpl[e]\b", r"/roo[t]/", r"/wor[k]/\w"])
def test_no_registry_and_no_path_of_a_machine_is_committed(secret):
    mine = "tests/docs/test_docs.py"
    found = [
        name
        for name in TRACKED
        if name != mine and (ROOT / name).is_file()
        and re.search(secret.encode(), (ROOT / name).read_bytes())
    ]  # fmt: skip
    assert found == []

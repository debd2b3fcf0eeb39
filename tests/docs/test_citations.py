"""A page that cites a test is shown by it: the test names the place in turn, by the mark `shows`.

A place is `docs/PAGE.md#anchor`: the row's own `<a id="anchor">`, or else the heading above it.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from docs.generate import ROOT

_TEST = re.compile(r"tests/(?:\w+/)*test_\w+\.py(?:::\w+)*")
_PATH = re.compile(r"\btests/[\w/.-]*\w")
_ANCHOR = re.compile(r'<a id="([\w-]+)">')
STEPS = "docs/from-the-command-line.md"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
}


def citations_in(page: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield each citation of a page: the place, and the test or the module as it is named."""
    heading, is_code = "", False
    for line in text.splitlines():
        is_code ^= line.startswith("```")
        if line.startswith("#") and not is_code:
            heading = _slug(line)
        anchor = _ANCHOR.search(line)
        for test in _TEST.findall(line):
            yield f"{page}#{anchor[1] if anchor else heading}", test


def marks_in(file: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield each place that a test of a file is marked with, and the test."""
    for node in ast.parse(source).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        inside = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for one in members:
            if isinstance(one, ast.FunctionDef):
                for place in _places_of(one):
                    yield place, f"{file}::{inside}{one.name}"


def _places_of(test: ast.FunctionDef) -> Iterator[str]:
    for mark in test.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.shows":
            yield from map(ast.literal_eval, mark.args)


def _slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def _by_place(pairs: Iterator[tuple[str, str]]) -> dict[str, set[str]]:
    found = defaultdict(set)
    for place, test in pairs:
        found[place].add(test)
    return found


CITED = _by_place(pair for page, text in PAGES.items() for pair in citations_in(page, text))
MARKED = _by_place(
    pair
    for path in sorted(ROOT.glob("tests/**/test_*.py"))
    for pair in marks_in(str(path.relative_to(ROOT)), path.read_text())
)


@pytest.mark.parametrize("place", sorted({*CITED, *MARKED}))
def test_a_place_cites_the_tests_that_are_marked_with_it_and_no_other(place):
    assert CITED.get(place, set()) == MARKED.get(place, set())


@pytest.mark.parametrize("page", PAGES)
def test_a_path_of_the_tests_that_a_page_names_is_there(page):
    for path in _PATH.findall(PAGES[page]):
        assert (ROOT / path).exists(), path


def test_every_step_of_the_command_line_cites_a_test():
    rows = [line.split("|")[1:-1] for line in PAGES[STEPS].splitlines() if line.startswith("| ")]
    anchors = [anchor for first, *_ in rows[1:] for anchor in _ANCHOR.findall(first)]
    assert len(rows) - 1 == len(set(anchors)) >= 11
    for *words, shown in rows[1:]:
        assert all(word.strip() for word in words)
        assert _TEST.findall(shown), words[0]


PAGE = """\
# A page: of `many` things
See `tests/unit/test_a.py::test_one`, and tests/unit/test_a.py.
```
# tests/unit/test_a.py::test_two is no heading
```
| <a id="row"></a>what | `tests/e2e/test_b.py::TestC::test_d`, `tests/recording.py` |
"""
TESTS = """\
@pytest.mark.shows("p#a", "p#b")
@pytest.mark.parametrize("x", [1])
def test_one(x): ...

@pytest.mark.other("p#a")
def test_two(): ...

class TestC:
    @pytest.mark.shows("p#a")
    def test_d(self): ...
"""


def test_a_citation_is_read_with_its_row_or_its_heading():
    assert list(citations_in("p.md", PAGE)) == [
        ("p.md#a-page-of-many-things", "tests/unit/test_a.py::test_one"),
        ("p.md#a-page-of-many-things", "tests/unit/test_a.py"),
        ("p.md#a-page-of-many-things", "tests/unit/test_a.py::test_two"),
        ("p.md#row", "tests/e2e/test_b.py::TestC::test_d"),
    ]


def test_a_mark_is_read_with_its_test():
    assert list(marks_in("tests/t.py", TESTS)) == [
        ("p#a", "tests/t.py::test_one"),
        ("p#b", "tests/t.py::test_one"),
        ("p#a", "tests/t.py::TestC::test_d"),
    ]

"""No idiom that readers stumble over stands in the code or the documentation."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("include", "dags", "plugins", "testbed", "docs")


class Idiom(NamedTuple):
    """A pattern to avoid, what to write instead, and a text that has it."""

    pattern: re.Pattern[str]
    instead: str
    example: str


def _idiom(pattern: str, instead: str, example: str) -> Idiom:
    return Idiom(re.compile(pattern, re.IGNORECASE), instead, example)


_NOUNS = (
    "address|branch|date|digest|git|image|Kafka|Kubernetes|moment|name|path|quantity|relative|size|"
    "storage|topic|version"
)
IDIOMS = (
    _idiom(r"\balready so\b", "unchanged", "ConfigMap a: already so"),
    _idiom(r"\bmend(s|ed|ing)?\b", "fix", "how to mend it"),
    _idiom(
        rf"\b(?<!there )is no (valid |real )?({_NOUNS})\b",
        "is not a valid",
        "2026-13-01 is no date",
    ),
    _idiom(r"\bwhose alerts\b", "the survey's alerts", "the survey whose alerts are read"),
    _idiom(r"\bat most so many\b", "maximum", "At most so many a batch"),
    _idiom(r"\b(is|are) told\b", "is reported, or is notified", "who is told of it"),
    _idiom(r"\bwhat is unread\b", "unread alerts", "what is unread is left"),
    _idiom(r"\bruns? otherwise\b", "if the configuration differs", "If it runs otherwise"),
)


def _files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [
        name
        for name in listed.split("\0")
        if name.endswith(".md") or (name.endswith(".py") and name.split("/")[0] in TREES)
    ]


def found_in(text: str) -> list[str]:
    """Return the idioms in a text, also across line breaks, with what to write instead."""
    flat = " ".join(text.split())
    return [
        f"{match[0]!r}: write {one.instead!r}"
        for one in IDIOMS
        for match in one.pattern.finditer(flat)
    ]


def test_no_idiom_is_in_the_code_or_the_documentation():
    files = _files()
    assert len(files) > 100
    found = {name: words for name in files if (words := found_in((ROOT / name).read_text()))}
    assert found == {}


@pytest.mark.parametrize("one", IDIOMS, ids=lambda one: one.example)
def test_each_idiom_is_found(one):
    assert found_in(one.example) == [
        f"{one.pattern.search(one.example)[0]!r}: write {one.instead!r}"
    ]
    assert found_in(one.example.replace(" ", "\n    "))


@pytest.mark.parametrize(
    "text", ["it amends a commit", "there is no image", "recommended", "is not a valid date"]
)
def test_plain_words_pass(text):
    assert found_in(text) == []

"""A cause that was found, and the line that names it."""

import re
from dataclasses import dataclass

from fink_k8s.core.diagnosis.catalogue import CATALOGUE, Category
from fink_k8s.core.diagnosis.levels import Severity


@dataclass(frozen=True)
class Diagnosis:
    """A cause in one line, its evidence, and what to do."""

    category: Category
    summary: str
    detail: str
    remedy: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Return cause, detail and remedy in one line."""
        detail = " ".join(self.detail.split()).rstrip(". ")
        return " ".join(f"[{self.category}] {self.summary}: {detail}. {self.remedy}".split())


# The summary ends at the first ": ", not at the first colon: an image's name may hold a port.
_LINE = re.compile(r"\[(?P<category>[a-z-]+)\] (?P<summary>.+?): (?P<rest>.+)", re.DOTALL)


def diagnosis_of(category: Category, detail: str, variant: str = "", **values: str) -> Diagnosis:
    """Return the diagnosis of a cause in the words of its catalogue entry.

    Args:
        category: what was found.
        detail: the evidence for it.
        variant: which of the entry's wordings to use; empty for its own.
        values: what the summary's placeholders stand for; others are ignored.

    Raises:
        KeyError: the entry has no such variant, or its summary lacks a value.
    """
    words = CATALOGUE[category].wording(variant)
    summary = words.summary.format(**values)
    return Diagnosis(category, summary, detail, words.remedy, words.severity)


def diagnosis_from(line: str) -> Diagnosis | None:
    """Return the diagnosis in a task's last line, or None if it names no category."""
    match = _LINE.search(line)
    if match is None or match["category"] not in set(Category):
        return None
    category = Category(match["category"])
    detail, _, remedy = match["rest"].rpartition(". ")
    severity = CATALOGUE[category].severity
    return Diagnosis(category, match["summary"], detail, remedy, severity)

"""The remedies of docs/troubleshooting.md come from the catalogue; the rest is written by hand."""

import re
import textwrap
from pathlib import Path

from fink_k8s.core.diagnosis.catalogue import CATALOGUE, Category, Wording

PAGE = Path(__file__).with_name("troubleshooting.md")
_HEADING = "\n## "
_REMEDY = re.compile(r"^- \*\*Remedy:\*\*.*?(?=^\S|^$|\Z)", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"\b\w+_\w+\b|\binclude/[\w./-]+")
_WIDTH = 110


def with_remedies(page: str) -> str:
    """Return the page with the catalogue's remedies in the section of each category."""
    head, *sections = page.split(_HEADING)
    return _HEADING.join([head, *map(_with_remedy, sections)])


def remedy_of(category: Category) -> str:
    """Return the point of a section that says what to do: one remedy, or one for each summary."""
    wordings = CATALOGUE[category].wordings
    if len({words.remedy for words in wordings}) == 1:
        return _wrapped(f"- **Remedy:** {wordings[0].remedy}.", "  ")
    points = [_wrapped(f"  - *{_summary(words)}:* {words.remedy}.", "    ") for words in wordings]
    return "\n".join(["- **Remedy:**", *points])


def _with_remedy(section: str) -> str:
    title = section.partition("\n")[0]
    if title not in set(Category):
        return section
    return _REMEDY.sub(lambda _: f"{remedy_of(Category(title))}\n", section, count=1)


def _summary(words: Wording) -> str:
    """Return a summary in which a placeholder reads as a name: `{pod}` as POD."""
    return re.sub(r"{(\w+)}", lambda value: value[1].upper(), words.summary)


def _wrapped(text: str, indent: str) -> str:
    quoted = _NAME.sub(r"`\g<0>`", text)
    return textwrap.fill(
        quoted, _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )

"""The report of a night as a page of HTML, and the list of such pages; pure.

Whatever comes from outside is escaped, and the picture is drawn anew from the facts: nothing that
lies in the store is shown as it lies there. The pages need no script and no other file.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape

from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.core.night.night_picture import STYLE as PICTURE_STYLE
from fink_k8s.core.night.night_picture import picture_of
from fink_k8s.core.night.night_report import (
    OFFSET_COLUMNS,
    RESTART_COLUMNS,
    details_of,
    offset_cells,
    restart_cells,
    sentence_of,
)

_STYLE = """\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
background:#fff;color:#1f2328}
table{border-collapse:collapse;margin:1rem 0}
caption{text-align:left;font-weight:600}
th,td{border:1px solid #8c959f;padding:.2rem .6rem;text-align:left;overflow-wrap:anywhere;\
min-width:5rem}
.verified{border-left:.4rem solid #1a7f37;padding-left:.8rem}
.open{border-left:.4rem solid #cf222e;padding-left:.8rem}
svg{width:100%;height:auto}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}a{color:#58a6ff}}
"""
STYLES = (_STYLE, PICTURE_STYLE)
"""The texts of all style elements of the pages, for the policy that allows these and no other."""


def night_page(facts: NightFacts) -> str:
    """Return the page of one night."""
    return _page(
        f"{facts.survey} night {facts.night}",
        [
            _verdict(facts),
            picture_of(facts),
            _table("Details", ("what", "value"), details_of(facts)),
            _table("Offsets", OFFSET_COLUMNS, map(offset_cells, facts.offsets)),
            _table("Restarts", RESTART_COLUMNS, (restart_cells(facts, r) for r in facts.restarts)),
            '<p><a href="./">All nights</a></p>',
        ],
    )


def list_page(reports: Mapping[str, NightFacts | str], more: int = 0) -> str:
    """Return the page of several nights, by stream: each one's facts, or why they are not known.

    `more` is how many earlier nights are not shown.
    """
    parts = list(_entries(reports)) or ["<p>No night has a report yet.</p>"]
    if more > 0:
        parts.append(f"<p>{more} earlier nights have a report in the store.</p>")
    return _page("Nights", parts)


def _entries(reports: Mapping[str, NightFacts | str]) -> Iterator[str]:
    for stream, facts in reports.items():
        name = escape(stream)
        yield f'<h2><a href="{name}">{name}</a></h2>'
        yield f'<p class="open">{escape(facts)}</p>' if isinstance(facts, str) else _verdict(facts)


def _verdict(facts: NightFacts) -> str:
    kind = "verified" if facts.is_verified else "open"
    return f'<p class="{kind}">{escape(sentence_of(facts))}</p>'


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{_cells('td', row)}</tr>\n" for row in rows)
    if not body:
        return ""
    head = f"<tr>{_cells('th', columns)}</tr>\n"
    return f"<table><caption>{escape(title)}</caption>\n{head}{body}</table>"


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _page(title: str, parts: Iterable[str]) -> str:
    return "\n".join([
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)} - Fink</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *filter(None, parts),
        "</body></html>",
    ]) + "\n"  # fmt: skip

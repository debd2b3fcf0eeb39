"""The report of a night as an HTML page, and the list of such pages; pure.

The templates next to this module escape all values, and the picture is drawn again from the facts:
nothing from the store is shown verbatim. The pages need no script and no other file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
"""The texts of all style elements of the pages, for the policy that allows only these."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class _Verdict(NamedTuple):
    """A sentence about a night, and the style to show it in."""

    kind: str
    sentence: str


def night_page(facts: NightFacts) -> str:
    """Return the page of one night."""
    return _TEMPLATES.get_template("night_page.html.j2").render(
        title=f"{facts.survey} night {facts.night}",
        style=_STYLE,
        verdict=_verdict(facts),
        picture=picture_of(facts),
        details=details_of(facts),
        offset_columns=OFFSET_COLUMNS,
        offsets=[offset_cells(one) for one in facts.offsets],
        restart_columns=RESTART_COLUMNS,
        restarts=[restart_cells(facts, one) for one in facts.restarts],
    )


def list_page(reports: Mapping[str, NightFacts | str], more: int = 0) -> str:
    """Return the page of several nights, by stream: the facts of each, or why they are unknown.

    `more` is how many earlier nights are not shown.
    """
    return _TEMPLATES.get_template("night_list.html.j2").render(
        title="Nights",
        style=_STYLE,
        verdicts={stream: _verdict(facts) for stream, facts in reports.items()},
        more=more,
    )


def _verdict(facts: NightFacts | str) -> _Verdict:
    if isinstance(facts, str):
        return _Verdict("open", facts)
    return _Verdict("verified" if facts.is_verified else "open", sentence_of(facts))

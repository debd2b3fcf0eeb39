"""A night's report to read in the morning: one sentence, then the details; pure."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape

from fink_k8s.core.diagnosis.causes import diagnosis_from
from fink_k8s.core.night.night_facts import NightFacts, OffsetRange
from fink_k8s.core.night.night_picture import picture_of
from fink_k8s.core.stream.restarts import Restart

REPORT, PICTURE, FACTS = "report.md", "night.svg", "facts.json"
OFFSET_COLUMNS = (
    "partition", "committed", "topic begins", "first alert after the end", "topic ends", "unread",
    "late",
)  # fmt: skip
RESTART_COLUMNS = ("at", "restarted by", "back after", "cause")
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_PARTITIONS, _SHOWN_RESTARTS, _CAUSE_LENGTH = 4, 3, 60
_SPARKS = 60


def sentence_of(facts: NightFacts) -> str:
    """Return one sentence about the night, with the offsets that prove it."""
    name = f"{facts.survey} night {facts.night}"
    if not facts.is_verified:
        told = f"{name} is NOT VERIFIED: {'; '.join(facts.reasons)}"
        return f"{told}. What is known: {_course(facts)}." if facts.counts else f"{told}."
    return f"{name}: {_course(facts)}."


def night_report_of(facts: NightFacts) -> str:
    """Return the report, in Markdown."""
    lines = [f"# {facts.survey} night {facts.night}", "", _plain(sentence_of(facts)), ""]
    lines += [f"- NOT VERIFIED: {_plain(reason)}" for reason in facts.reasons]
    lines += ["", f"![The lag of the night]({PICTURE})", ""]
    if line := sparkline_of(facts):
        lines += [f"    lag {line}", ""]
    lines += _table(("what", "value"), details_of(facts))
    if facts.offsets:
        lines += ["", "## Offsets", "", *_table(OFFSET_COLUMNS, map(offset_cells, facts.offsets))]
    if facts.restarts:
        restarts = (restart_cells(facts, one) for one in facts.restarts)
        lines += ["", "## Restarts", "", *_table(RESTART_COLUMNS, restarts)]
    return "\n".join(lines) + "\n"


def files_of(facts: NightFacts) -> dict[str, str]:
    """Return the files of a report, by name."""
    return {
        REPORT: night_report_of(facts),
        PICTURE: picture_of(facts),
        FACTS: json.dumps(
            {
                **facts.model_dump(mode="json"),
                "verified": facts.is_verified,
                "reasons": facts.reasons,
                "sentence": sentence_of(facts),
            },
            indent=1,
        )
        + "\n",
    }


def details_of(facts: NightFacts) -> list[tuple[str, str]]:
    """Return the details, as rows of (what, value)."""
    counts, drain = facts.counts, facts.drain
    gap = "unknown" if facts.longest_gap_s is None else f"{facts.longest_gap_s:.0f} s"
    rows = [
        ("stream", facts.stream),
        ("topic", facts.topic),
        ("window", f"{_moment(facts, facts.start)} to {_moment(facts, facts.end)}"),
        ("alerts up to", _moment(facts, facts.until)),
        ("data", facts.address or "unknown"),
        ("batches", _number(counts.batches) if counts else "unknown"),
        ("alerts read", _number(counts.read) if counts else "unknown"),
        ("stored", _number(counts.stored) if counts else "unknown"),
        ("set aside", _number(counts.set_aside) if counts else "unknown"),
        ("unread at the end", _number(facts.unread) if facts.offsets else "unknown"),
        ("arrived after the end", _number(facts.late) if facts.offsets else "unknown"),
        ("longest gap", gap),
        ("largest lag", _number(max(p.lag for p in facts.curve)) if facts.curve else "unknown"),
        ("restarts", str(len(facts.restarts))),
    ]  # fmt: skip
    if facts.adopted:
        rows.append(("start", "adopted: the stream was already running"))
    if drain.waited_s or drain.is_drained:
        lag = "unknown" if drain.lag is None else _number(drain.lag)
        ended = "all was read" if drain.is_drained else f"the drain gave up, lag {lag}"
        rows.append(("drain", f"waited {drain.waited_s:.0f} s until {ended}"))
    return rows + ([("stop", facts.stop)] if facts.stop else [])


def sparkline_of(facts: NightFacts) -> str:
    """Return the lag over the night as one line of text; empty if unknown."""
    if not facts.curve:
        return ""
    highest = max(1, *(point.lag for point in facts.curve))
    top = len(_BARS) - 1
    # Round up: a lag of one alert is visible, and only a lag of 0 is the lowest bar.
    bars = "".join(_BARS[-(-point.lag * top // highest)] for point in facts.curve[:_SPARKS])
    first, last = facts.local(facts.curve[0].at), facts.local(facts.curve[-1].at)
    return f"{first:%H:%M} {bars} {last:%H:%M}, at most {_number(highest)} alerts"


def _course(facts: NightFacts) -> str:
    counts = facts.counts
    if counts is None:
        return "nothing"
    if counts.read == counts.stored == counts.set_aside == 0:
        read = f"no alert arrived in {facts.topic}" if not facts.unread else "no alert was read"
    else:
        sign = "=" if counts.is_complete else "but"
        read = (
            f"{_number(counts.read)} alerts read {sign} {_number(counts.stored)} stored + "
            f"{_number(counts.set_aside)} set aside, {_ranges(facts)}"
            f"{' accounted for' if facts.is_verified else ''}, in {_number(counts.batches)} batches"
        )
    after = f", {_number(facts.late)} arrived after the end" if facts.late else ""
    gap = f", longest gap {facts.longest_gap_s:.0f} s" if facts.longest_gap_s is not None else ""
    lag = f", lag at the end {_number(facts.unread)}" if facts.offsets else ""
    return f"{read}; {_restarts(facts)}{gap}{lag}{after}"


def _ranges(facts: NightFacts) -> str:
    offsets = facts.offsets
    if len(offsets) == 1:
        return f"each offset {offsets[0]} of {facts.topic}"
    if len(offsets) <= _SHOWN_PARTITIONS:
        ranges = ", ".join(f"{one} of partition {one.partition}" for one in offsets)
        return f"each offset of {facts.topic} ({ranges})"
    return f"each offset of the {len(offsets)} partitions of {facts.topic}"


def _restarts(facts: NightFacts) -> str:
    number = len(facts.restarts)
    if not number:
        return "no restart"
    told = [_restart(facts, one) for one in facts.restarts[:_SHOWN_RESTARTS]]
    told += [f"{number - _SHOWN_RESTARTS} more"] if number > _SHOWN_RESTARTS else []
    return f"{number} restart{'s' if number > 1 else ''} ({'; '.join(told)})"


def _restart(facts: NightFacts, one: Restart) -> str:
    found = diagnosis_from(one.cause)
    cause = " ".join((found.summary if found else one.cause).split()) or "cause unknown"
    if len(cause) > _CAUSE_LENGTH:
        cause = f"{cause[: _CAUSE_LENGTH - 3].rstrip()}..."
    back = "" if one.back_after_s is None else f", back after {one.back_after_s:.0f} s"
    return f"{cause} {facts.local(one.at):%H:%M:%S}{back}"


def offset_cells(one: OffsetRange) -> list[str]:
    """Return one partition's row under OFFSET_COLUMNS."""
    known = (one.begins, one.due, one.high)
    told = ["unknown" if offset is None else str(offset) for offset in known]
    return [str(one.partition), str(one), *told, str(one.unread), str(one.late)]


def restart_cells(facts: NightFacts, one: Restart) -> list[str]:
    """Return one restart's row under RESTART_COLUMNS."""
    back = "not seen" if one.back_after_s is None else f"{one.back_after_s:.0f} s"
    return [_moment(facts, one.at), one.by, back, one.cause]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(columns)
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(map(_cell, row))} |"


def _moment(facts: NightFacts, moment: datetime) -> str:
    return f"{facts.local(moment):%Y-%m-%d %H:%M:%S %Z}"


def _number(value: int) -> str:
    return f"{value:,}"


def _plain(text: str) -> str:
    """Return external text as Markdown that shows it verbatim."""
    return escape(" ".join(text.split()), quote=False)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")

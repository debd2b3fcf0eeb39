"""One look at one stream, as one line: its level, last progress, rate and lag; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.diagnosis.catalogue import CATALOGUE
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.levels import HealthLevel
from fink_k8s.core.health.stream_health import Health, HealthVerdict, assess

Figure = str | int | float | None


_LEVELS = {
    HealthVerdict.HEALTHY: HealthLevel.WELL,
    HealthVerdict.STARTING: HealthLevel.STARTING,
    # Right after its start a driver has no query yet; later the diagnosis calls the query dead.
    HealthVerdict.SILENT: HealthLevel.STARTING,
    HealthVerdict.NO_QUERY: HealthLevel.STARTING,
    HealthVerdict.ENDED: HealthLevel.ENDED,
    HealthVerdict.FAILED: HealthLevel.DEAD,
    HealthVerdict.TROUBLED: HealthLevel.TROUBLED,
    HealthVerdict.ABSENT: HealthLevel.UNKNOWN,
}
# Without these two sources, a start cannot be distinguished from anything else.
_NEEDED = ("application", "pods")


@dataclass(frozen=True)
class StreamLine:
    """The result of one look at a stream (or at what it depends on): its level, and one line.

    `figures` has state, driver, batch, progress_s (seconds since the last batch ended), rate
    (alerts stored per second) and lag (alerts); unknown values are None.
    """

    stream: str
    level: HealthLevel
    text: str
    category: str = ""
    figures: Mapping[str, Figure] | None = None


def stream_line(stream: str, evidence: Evidence) -> StreamLine:
    """Return the line of a full look, or of a quick one where the full one got no answer.

    The line names each source that did not answer.
    """
    figures = figures_of(evidence)
    try:
        health = assess(evidence)
    except InvalidRequest as error:  # a state of an operator newer than this project
        return StreamLine(stream, HealthLevel.UNKNOWN, f"{stream}: unknown; {error}", "", figures)
    level = _level_of(evidence, health)
    parts = [f"{stream}: {level}", _in_words(figures)]
    if level not in {HealthLevel.WELL, HealthLevel.ENDED}:
        parts.append(health.reason)
    if evidence.unanswered:
        parts.append(f"no answer: {', '.join(sorted(evidence.unanswered))}")
    category = health.diagnosis.category.value if health.diagnosis else ""
    return StreamLine(stream, level, "; ".join(filter(None, parts)), category, figures)


def figures_of(evidence: Evidence) -> dict[str, Figure]:
    """Return the measurements of a look, by name; see `StreamLine`."""
    position, now = evidence.position, evidence.seen_at
    figures: dict[str, Figure] = {
        "state": (evidence.state or "new") if evidence.exists else "missing",
        "driver": evidence.driver_phase,
        "batch": None,
        "progress_s": None,
        "rate": None,
        "lag": evidence.lag,
    }
    if position and now and position.committed_at:
        figures["batch"] = position.committed
        figures["progress_s"] = round((now - position.committed_at).total_seconds())
        figures["rate"] = position.rate(now)
    if figures["rate"] is None:
        figures["rate"] = evidence.input_rate
    if isinstance(figures["rate"], float):
        figures["rate"] = round(figures["rate"], 1)
    return figures


def _level_of(evidence: Evidence, health: Health) -> HealthLevel:
    if health.diagnosis and health.verdict is HealthVerdict.TROUBLED:
        return CATALOGUE[health.diagnosis.category].level
    level = _LEVELS[health.verdict]
    is_blind = evidence.seen_at is None or any(
        source.startswith(_NEEDED) for source in evidence.unanswered
    )
    return HealthLevel.UNKNOWN if is_blind and level is HealthLevel.STARTING else level


def _in_words(figures: Mapping[str, Figure]) -> str:
    """Return the figures as readable text."""
    words = [f"{figures['state']}, driver {figures['driver']}"]
    if figures["batch"] is not None:
        words.append(f"batch {figures['batch']} ended {figures['progress_s']} s ago")
    if figures["rate"] is not None:
        words.append(f"{figures['rate']} alerts/s")
    words.append("lag unknown" if figures["lag"] is None else f"lag {figures['lag']}")
    return ", ".join(words)

"""The health of all streams, look by look, and which changes are news; pure.

A stream that flaps is reported once: a level counts as worse only after `LOOKS` consecutive looks,
and reported trouble is over only after `WELL_LOOKS` consecutive good ones. What was seen and what
was reported are stored separately, so that a message that could not be delivered is sent again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from fink_k8s.core.diagnosis.levels import HealthLevel
from fink_k8s.core.health.health_line import StreamLine

# From mild to severe: how many consecutive looks must be at least this bad before it is reported.
LOOKS = {
    HealthLevel.UNKNOWN: 3,
    HealthLevel.LATE: 2,
    HealthLevel.TROUBLED: 2,
    HealthLevel.STALLED: 1,
    HealthLevel.DEAD: 1,
}
WELL_LOOKS = 2
START_LIMIT = timedelta(minutes=15)
"""A start that takes longer counts as trouble, whatever its cause."""
FORGOTTEN_AFTER = timedelta(days=1)
"""How long to remember a stream that vanished."""

_WEIGHTS = {level: weight for weight, level in enumerate(LOOKS, start=1)}
_VANISHED = (
    "the application and the driver are gone, but nobody stopped the stream with fink_stop; "
    "trigger fink_deploy for its night: the stream continues from its checkpoint"
)


class Kind(StrEnum):
    """The kind of a change."""

    WORSE = "worse"
    BETTER = "better"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True)
class Change:
    """A change of one stream; `is_news` is true where people are to be notified."""

    kind: Kind
    stream: str
    sentence: str
    is_news: bool


class Standing(BaseModel):
    """What is known about one stream.

    `seen` is the level at the last look, `since` when that level began; `recent` holds the levels
    of the last looks; `told` is the worst level that was reported since the stream was well.
    """

    model_config = ConfigDict(frozen=True)

    seen: HealthLevel
    since: datetime
    recent: tuple[HealthLevel, ...]
    text: str
    told: HealthLevel | None = None
    is_known: bool = False
    is_gone: bool = False
    has_vanished: bool = False
    bundle: str = ""

    @property
    def worse(self) -> HealthLevel | None:
        """Return the level to report as worse, if there is one."""
        for level in reversed(LOOKS):
            looks = self.recent[-LOOKS[level] :]
            holds = len(looks) == LOOKS[level] and all(_weight(one) >= _weight(level)
                                                       for one in looks)  # fmt: skip
            if holds and _weight(level) > _weight(self.told):
                return level
        return None

    @property
    def is_well_again(self) -> bool:
        """Tell whether reported trouble is over."""
        return (
            self.told is not None and self.recent[-WELL_LOOKS:] == (HealthLevel.WELL,) * WELL_LOOKS
        )


class Board(BaseModel):
    """The standing of each stream, by name."""

    model_config = ConfigDict(frozen=True)

    streams: Mapping[str, Standing] = {}

    def missing(self, lines: Iterable[StreamLine]) -> list[str]:
        """Return the streams that are on the board but not in `lines`."""
        return sorted({*self.streams} - {line.stream for line in lines})

    def after_look(
        self, lines: Collection[StreamLine], now: datetime, stopped: Collection[str] = ()
    ) -> Self:
        """Return the board after a look at all streams.

        `stopped` holds the missing streams that were asked to end. A missing stream that had ended
        or died before is gone as well; any other has vanished, which is as bad as dead.
        """
        streams = {line.stream: _after(self.streams.get(line.stream), line, now) for line in lines}
        for name in self.missing(lines):
            standing = _without(name, self.streams[name], now, name in stopped)
            if standing:
                streams[name] = standing
        return self.model_copy(update={"streams": streams})

    def after_blind_look(self, line: StreamLine, now: datetime) -> Self:
        """Return the board after a look at the subject of `line` only; all else is unchanged."""
        one = {line.stream: _after(self.streams.get(line.stream), line, now)}
        return self.model_copy(update={"streams": {**self.streams, **one}})

    def changes(self) -> list[Change]:
        """Return what has changed since the last report, the worst first."""
        found = [_change(name, standing) for name, standing in sorted(self.streams.items())]
        order = list(Kind)
        return sorted(filter(None, found), key=lambda change: order.index(change.kind))

    def having_told(self, changes: Iterable[Change]) -> Self:
        """Return the board after these changes have been reported."""
        streams = dict(self.streams)
        for change in changes:
            standing = streams.pop(change.stream)
            if not standing.is_gone:
                streams[change.stream] = _told(standing, change.kind)
        return self.model_copy(update={"streams": streams})

    def having_kept(self, stream: str, bundle: str) -> Self:
        """Return the board with the address of the diagnosis bundle of a stream."""
        kept = self.streams[stream].model_copy(update={"bundle": bundle})
        return self.model_copy(update={"streams": {**self.streams, stream: kept}})


def _after(before: Standing | None, line: StreamLine, now: datetime) -> Standing:
    """Return the standing of a stream that was looked at."""
    goes_on = before is not None and before.seen is line.level and not before.has_vanished
    since = before.since if before and goes_on else now
    level, text = line.level, line.text
    if level is HealthLevel.STARTING and now - since > START_LIMIT:
        level = HealthLevel.TROUBLED
        text = f"{text}; it has been starting for {(now - since).total_seconds() / 60:.0f} min"
    if before is None:
        return Standing(seen=line.level, since=since, recent=(level,), text=text)
    recent = (*before.recent, level)[-max(LOOKS.values()) :]
    changes = {"seen": line.level, "since": since, "recent": recent, "text": text}
    return before.model_copy(update={**changes, "is_gone": False, "has_vanished": False})


def _without(name: str, before: Standing, now: datetime, was_stopped: bool) -> Standing | None:
    """Return the standing of a stream that is missing; None once it is forgotten."""
    if before.is_gone:
        return before
    if was_stopped:
        return before.model_copy(update={"is_gone": True, "text": f"{name}: stopped as requested"})
    if before.has_vanished:
        return before if now - before.since < FORGOTTEN_AFTER else None
    if before.seen in {HealthLevel.ENDED, HealthLevel.DEAD}:
        text = f"{name}: gone; it was {before.seen}"
        return before.model_copy(update={"is_gone": True, "text": text})
    vanished = StreamLine(name, HealthLevel.DEAD, f"{name}: dead; {_VANISHED}")
    return _after(before, vanished, now).model_copy(update={"has_vanished": True})


def _change(name: str, standing: Standing) -> Change | None:
    was_told = standing.told is not None
    if standing.is_gone:
        return Change(Kind.GONE, name, standing.text, is_news=was_told)
    if standing.worse:
        return Change(Kind.WORSE, name, standing.text, is_news=True)
    if standing.is_well_again:
        return Change(Kind.BETTER, name, f"{standing.text}; it was {standing.told}", is_news=True)
    if was_told and standing.seen is HealthLevel.ENDED:
        return Change(Kind.GONE, name, f"{standing.text}; it was {standing.told}", is_news=True)
    if not standing.is_known:
        return Change(Kind.NEW, name, standing.text, is_news=False)
    return None


def _told(standing: Standing, kind: Kind) -> Standing:
    if kind is Kind.WORSE:
        return standing.model_copy(update={"told": standing.worse, "is_known": True})
    if kind is Kind.NEW:
        return standing.model_copy(update={"is_known": True})
    return standing.model_copy(update={"told": None, "bundle": ""})


def _weight(level: HealthLevel | None) -> int:
    return _WEIGHTS.get(level, 0) if level else 0

"""What was seen of all streams, look by look, and what of it is news; pure.

A stream that flaps is told once: a level counts as worse only after as many looks in a row as
`LOOKS` says, and a trouble that was told is over only after `WELL_LOOKS` well ones. What was told
and what was seen are kept apart, so that a message that could not be delivered is news once more.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from fink_k8s.core.diagnosis.levels import HealthLevel
from fink_k8s.core.health.health_line import StreamLine

# In the order of their weight: how many looks in a row must be as bad as that before it is told.
LOOKS = {
    HealthLevel.UNKNOWN: 3,
    HealthLevel.LATE: 2,
    HealthLevel.TROUBLED: 2,
    HealthLevel.STALLED: 1,
    HealthLevel.DEAD: 1,
}
WELL_LOOKS = 2
START_LIMIT = timedelta(minutes=15)
"""A start that takes longer is a trouble, whatever its cause."""
FORGOTTEN_AFTER = timedelta(days=1)
"""How long a stream that vanished is remembered."""

_WEIGHTS = {level: weight for weight, level in enumerate(LOOKS, start=1)}
_VANISHED = (
    "application and driver are gone, and no fink_stop was asked for it; "
    "trigger fink_deploy for its night: it goes on where the checkpoint stands"
)


class Kind(StrEnum):
    """What a change is."""

    WORSE = "worse"
    BETTER = "better"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True)
class Change:
    """What has changed with one stream; `is_news` tells whether anybody is to be told."""

    kind: Kind
    stream: str
    sentence: str
    is_news: bool


class Standing(BaseModel):
    """What is known of one stream.

    `seen` is the last look's own level, `since` when it was first seen so; `recent` are the levels
    of the last looks; `told` is the worst one that was told since the stream was well.
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
        """Return the level that is to be told as worse, if there is one."""
        for level in reversed(LOOKS):
            looks = self.recent[-LOOKS[level] :]
            holds = len(looks) == LOOKS[level] and all(_weight(one) >= _weight(level)
                                                       for one in looks)  # fmt: skip
            if holds and _weight(level) > _weight(self.told):
                return level
        return None

    @property
    def is_well_again(self) -> bool:
        """Tell whether a trouble that was told is over."""
        return (
            self.told is not None and self.recent[-WELL_LOOKS:] == (HealthLevel.WELL,) * WELL_LOOKS
        )


class Board(BaseModel):
    """The standing of each stream, by name."""

    model_config = ConfigDict(frozen=True)

    streams: Mapping[str, Standing] = {}

    def missing(self, lines: Iterable[StreamLine]) -> list[str]:
        """Return the streams that are on the board, and not among `lines`."""
        return sorted({*self.streams} - {line.stream for line in lines})

    def after_look(
        self, lines: Collection[StreamLine], now: datetime, stopped: Collection[str] = ()
    ) -> Self:
        """Return the board after a look at all there is.

        `stopped` are the missing ones that were asked to end. One that had ended or died before is
        gone as well; any other that is missing has vanished, which is as bad as dead.
        """
        streams = {line.stream: _after(self.streams.get(line.stream), line, now) for line in lines}
        for name in self.missing(lines):
            standing = _without(name, self.streams[name], now, name in stopped)
            if standing:
                streams[name] = standing
        return self.model_copy(update={"streams": streams})

    def after_blind_look(self, line: StreamLine, now: datetime) -> Self:
        """Return the board after a look at nothing but what `line` speaks of; all else stays."""
        one = {line.stream: _after(self.streams.get(line.stream), line, now)}
        return self.model_copy(update={"streams": {**self.streams, **one}})

    def changes(self) -> list[Change]:
        """Return what has changed since it was last told, the worst first."""
        found = [_change(name, standing) for name, standing in sorted(self.streams.items())]
        order = list(Kind)
        return sorted(filter(None, found), key=lambda change: order.index(change.kind))

    def having_told(self, changes: Iterable[Change]) -> Self:
        """Return the board once these changes are no news any more."""
        streams = dict(self.streams)
        for change in changes:
            standing = streams.pop(change.stream)
            if not standing.is_gone:
                streams[change.stream] = _told(standing, change.kind)
        return self.model_copy(update={"streams": streams})

    def having_kept(self, stream: str, bundle: str) -> Self:
        """Return the board with the address of the bundle that shows a stream's trouble."""
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
    """Return the standing of a stream that is not there any more; None once it is forgotten."""
    if before.is_gone:
        return before
    if was_stopped:
        return before.model_copy(update={"is_gone": True, "text": f"{name}: gone, as asked"})
    if before.has_vanished:
        return before if now - before.since < FORGOTTEN_AFTER else None
    if before.seen in {HealthLevel.ENDED, HealthLevel.DEAD}:
        text = f"{name}: gone, it had been {before.seen}"
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

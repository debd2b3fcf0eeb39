"""The facts about a past night, and whether it is complete; pure.

A night is verified if each alert that arrived before its end was read, and each alert that was read
is stored or set aside. Everything that contradicts this is a reason, in one line.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.night.night_lag import LagPoint
from fink_k8s.core.stream.restarts import Restart
from fink_k8s.core.stream.stream_names import parse_stream_name

_SHOWN = 3


class _Fact(BaseModel):
    """Validate the results of other tasks; ignore additional fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Drained(_Fact):
    """The result of the drain: the last lag (None if unknown), and the time waited."""

    lag: int | None = None
    waited_s: float = Field(0, ge=0)
    is_drained: bool = False


class OffsetRange(_Fact):
    """One partition: the committed offsets [start, end), and what the topic holds now.

    `begins` is the topic's first offset, `due` the offset of the first alert after the night's end,
    `high` the offset after its last alert; None if the topic no longer has the partition.
    `expected` is the offset at which the night had to start, or None if unknown.
    """

    partition: int
    start: int
    end: int
    begins: int | None = None
    due: int | None = None
    high: int | None = None
    expected: int | None = None

    @property
    def unread(self) -> int:
        """Return how many alerts of the night the topic still holds beyond the committed end."""
        return 0 if self.due is None else max(0, self.due - max(self.end, self.begins or 0))

    @property
    def late(self) -> int:
        """Return how many alerts arrived after the night's end and were not read."""
        if self.due is None or self.high is None:
            return 0
        return max(0, self.high - max(self.due, self.end))

    def __str__(self) -> str:
        """Return the committed offsets, as an interval."""
        return f"[{self.start}, {self.end})"


class NightFacts(_Fact):
    """One past night.

    Alerts up to `until` belong to it: the window's end plus the time of the drain. `counts` is None
    if Airflow could not count, and `unseen` has the reason. `broken` lists files of the manifest
    that cannot be read.
    """

    stream: str
    topic: str
    start: AwareDatetime
    end: AwareDatetime
    until: AwareDatetime
    zone: str = ""
    address: str = ""
    counts: NightCounts | None = None
    unseen: str = ""
    broken: tuple[str, ...] = ()
    offsets: tuple[OffsetRange, ...] = ()
    topic_is_there: bool = True
    is_own_topic: bool = False
    """Whether the topic is for this night only, created by the survey with the first alert."""
    curve: tuple[LagPoint, ...] = ()
    longest_gap_s: float | None = None
    restarts: tuple[Restart, ...] = ()
    adopted: bool = False
    drain: Drained = Drained()
    stop: str = ""

    @property
    def survey(self) -> str:
        """Return the name of the survey."""
        return parse_stream_name(self.stream)[0]

    @property
    def night(self) -> str:
        """Return the night, `YYYYMMDD`."""
        return parse_stream_name(self.stream)[1]

    @property
    def unread(self) -> int:
        """Return the lag at the end: alerts of the night that are in the topic but unread."""
        return sum(one.unread for one in self.offsets)

    @property
    def late(self) -> int:
        """Return how many alerts arrived after the night's end and were not read."""
        return sum(one.late for one in self.offsets)

    @property
    def has_no_topic(self) -> bool:
        """Tell whether the survey created no topic: a cloudy night without alerts."""
        read = self.counts.read if self.counts else 0
        return self.is_own_topic and not self.topic_is_there and read == 0

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the reasons why the night is not verified, one line each."""
        return tuple(_reasons(self))

    @property
    def is_verified(self) -> bool:
        """Tell whether the night is complete."""
        return not self.reasons

    def local(self, moment: datetime) -> datetime:
        """Return a moment in the night's time zone."""
        return moment.astimezone(ZoneInfo(self.zone) if self.zone else self.start.tzinfo)

    def told_by(
        self,
        watched: dict[str, Any] | None,
        drained: dict[str, Any] | None,
        stopped: dict[str, Any] | None,
        *,
        adopted: bool = False,
    ) -> Self:
        """Return the facts with the results of the night's tasks, as far as they are available."""
        # The drain knows all restarts that the watch saw, unless it found no stream.
        told = [(one or {}).get("restarts") or () for one in (watched, drained)]
        return self.model_copy(
            update={
                "restarts": tuple(Restart.model_validate(one) for one in max(told, key=len)),
                "adopted": adopted,
                "drain": Drained.model_validate(drained or {}),
                "stop": str((stopped or {}).get("line") or ""),
            }
        )

    def as_extra(self) -> dict[str, JsonValue]:
        """Return what a DAG that processes the raw alerts needs to know."""
        counts = self.counts
        return {
            "survey": self.survey,
            "night": self.night,
            "stream": self.stream,
            "topic": self.topic,
            "address": self.address,
            "offsets": {str(one.partition): [one.start, one.end] for one in self.offsets},
            "counts": {**counts.as_dict()} if counts else None,
            "verified": self.is_verified,
        }


def _reasons(facts: NightFacts) -> Iterator[str]:
    if facts.unseen or facts.counts is None:
        yield f"the alerts were not counted: {facts.unseen or 'the store was not read'}"
        return
    yield from _wrong_counts(facts, facts.counts)
    for one in facts.offsets:
        yield from _wrong_offsets(facts.topic, one)
    if not facts.topic_is_there and not facts.has_no_topic:
        yield (
            f"topic {facts.topic} is not on the brokers, so it is unknown whether all of it was "
            "read; check the topic's name, and whether it was deleted"
        )
    if facts.unread:
        drained = (
            ", although the drain reported that all was read" if facts.drain.is_drained else ""
        )
        where = ", ".join(
            f"[{max(one.end, one.begins or 0)}, {one.due}) of partition {one.partition}"
            for one in facts.offsets
            if one.unread
        )
        yield (
            f"{facts.unread} alerts of the night remain unread in {facts.topic}{drained}: "
            f"{where}; start the stream of the night again, and it continues there"
        )


def _wrong_counts(facts: NightFacts, counts: NightCounts) -> Iterator[str]:
    if facts.broken:
        more = len(facts.broken) - _SHOWN
        names = ", ".join(facts.broken[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield (
            f"{len(facts.broken)} files listed in the manifest are missing or damaged ({names}); "
            "restore them, or read the night again to a new prefix"
        )
    missing = counts.read - counts.stored - counts.set_aside
    if missing > 0:
        gone = [one for one in facts.offsets if (one.begins or 0) > one.start]
        hint = "".join(
            f"; the topic now begins at {one.begins} of partition {one.partition}, beyond the "
            f"night's start {one.start}"
            for one in gone[:1]
        )
        yield f"{missing} alerts that were read are neither stored nor set aside{hint}"
    if missing < 0:
        yield f"{-missing} more alerts are stored and set aside than were read: some are duplicated"


def _wrong_offsets(topic: str, one: OffsetRange) -> Iterator[str]:
    where = f"partition {one.partition} of {topic}"
    if one.expected is not None and one.start > one.expected:
        yield (
            f"[{one.expected}, {one.start}) of {where} was never read: the stream started late, "
            "or the topic had already deleted it"
        )
    if one.begins is not None and one.begins > one.end:
        yield (
            f"[{one.end}, {one.begins}) of {where} was deleted before it was read: the topic's "
            "retention is too short"
        )
    if one.high is not None and one.high < one.end:
        yield (
            f"{where} ends at {one.high}, but the night was read up to {one.end}: the topic was "
            "re-created, and its earlier content is unknown"
        )

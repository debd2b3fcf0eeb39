"""How far a night has been read, and how far its topic extends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Position:
    """The progress in a night's checkpoint.

    `planned` and `committed` are batch numbers, -1 for none; `next` holds the next offset to read
    by partition, empty before the first batch; `committed_at` is when the last batch ended.
    """

    planned: int = -1
    committed: int = -1
    committed_at: datetime | None = None
    next: Mapping[int, int] = field(default_factory=dict)
    written: int = -1
    """The last batch in the output's manifest, `_spark_metadata`."""
    read: int = 0
    set_aside: int = 0
    """Alerts of committed batches: all, and those that could not be decoded."""
    earlier_at: datetime | None = None
    earlier_read: int = 0
    """When a batch ended some minutes before the last one, and the alerts read by then."""

    @property
    def pace(self) -> float | None:
        """Return the alerts per second that the last batches read; None for a single batch."""
        if self.committed_at is None or self.earlier_at is None:
            return None
        return self._pace_until(self.committed_at)

    def rate(self, now: datetime) -> float | None:
        """Return the alerts per second read until `now`; it falls while no batch ends."""
        if self.committed_at is None:
            return None
        return 0.0 if self.earlier_at is None else self._pace_until(now)

    def _pace_until(self, moment: datetime) -> float:
        seconds = (moment - (self.earlier_at or moment)).total_seconds()
        return (self.read - self.earlier_read) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class Topic:
    """A topic's offsets by partition; no partitions if the broker does not know the topic.

    `due` holds the first offset younger than `overdue`: alerts below it have waited longer.
    """

    name: str
    starts: Mapping[int, int] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)
    due: Mapping[int, int] = field(default_factory=dict)
    overdue: timedelta = timedelta(minutes=5)

    @property
    def arriving(self) -> float:
        """Return the alerts per second that arrived during the last `overdue`."""
        fresh = sum(end - self.due.get(p, end) for p, end in self.ends.items())
        return fresh / self.overdue.total_seconds()

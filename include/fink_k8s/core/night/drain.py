"""Decide when a past night has been read to its end; pure.

Alerts arrive late, so an empty topic is not enough: it has to stay empty for a while. A night that
is caught up later still has all its alerts to read, and a burst may arrive at the end. So the grace
period counts from the last time the lag reached a new low: a stream that makes progress may
continue. Keeping up with new alerts does not extend it, or an endless topic would never be left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fink_k8s.core.night.watch_event import Sign, WatchEnd


@dataclass
class Drain:
    """Judges, look by look, whether all alerts of a night are committed.

    `began` is the time of the first look, `quiet` how long no alert may arrive before the end,
    `grace` how long the lag may go without falling.
    """

    began: datetime
    quiet: timedelta
    grace: timedelta
    lag: int | None = None
    _least: int | None = None
    _least_at: datetime | None = None
    _empty_at: datetime | None = None
    _ends: Mapping[int, int] = field(default_factory=dict)
    _since: datetime | None = None

    def judge(self, lag: int | None, ends: Mapping[int, int], now: datetime) -> WatchEnd | None:
        """Return how the drain ended, or None while it goes on.

        Args:
            lag: alerts that are not committed yet; None if unknown.
            ends: the topic's end offsets by partition.
            now: the present moment, aware.
        """
        self.lag = lag
        if lag == 0:
            self._empty_at = self._empty_at or now
            self._least, self._least_at = 0, self._empty_at
        elif lag is not None and (not self._least or lag < self._least):
            self._least, self._least_at = lag, now
        if lag != 0:
            self._since = None
        elif self._since is None or ends != self._ends:
            self._ends, self._since = dict(ends), now
        if self._since and now - self._since >= self.quiet:
            return WatchEnd(
                sign=Sign.DRAINED,
                reason=f"all are stored, and none arrived for {self.quiet.total_seconds():.0f} s",
            )
        return self.out_of_grace(now)

    def out_of_grace(self, now: datetime) -> WatchEnd | None:
        """Return how the drain ended if the grace period is over, whatever the stream's health."""
        if now - max(filter(None, (self.began, self._least_at))) < self.grace:
            return None
        return WatchEnd(sign=Sign.TIME_IS_UP, reason=f"the grace period is over, {self}")

    def __str__(self) -> str:
        """Return the progress."""
        return "the lag is unknown" if self.lag is None else f"the lag is {self.lag} alerts"

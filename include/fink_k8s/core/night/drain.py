"""When a night that is over has been read to its end; pure.

Alerts come late, so an empty topic is not enough: it has to stay empty for a while. And a night
that is made up for has all of its alerts before it, and a burst may come at last: the time of grace
counts from the last moment at which the stream came nearer to the end, so that one that works is
let work. What was read in time gives no new grace: a topic that never ends would never be left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fink_k8s.core.night.watch_event import Sign, WatchEnd


@dataclass
class Drain:
    """Judges, look by look, whether all alerts of a night are committed.

    `began` is when the drain was first looked at, `quiet` how long no alert may have come, `grace`
    how long the lag may go without falling.
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
        """Return how the drain ended, or None as long as it goes on.

        Args:
            lag: alerts that are not committed yet; None where nobody knows.
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
                reason=f"all is read, and no alert came for {self.quiet.total_seconds():.0f} s",
            )
        return self.out_of_grace(now)

    def out_of_grace(self, now: datetime) -> WatchEnd | None:
        """Return how the drain ended where the time of grace is over, however the stream is."""
        if now - max(filter(None, (self.began, self._least_at))) < self.grace:
            return None
        return WatchEnd(sign=Sign.TIME_IS_UP, reason=f"the time of grace is over, {self}")

    def __str__(self) -> str:
        """Return how far it has come."""
        return "the lag is not known" if self.lag is None else f"the lag is {self.lag} alerts"

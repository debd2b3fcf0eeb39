"""The lag of a night's stream over time, and its longest wait; pure.

Both are computed from records that outlive the night: when alerts arrived in the topic, and when
files were written, with their row counts.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

Arrived = Callable[[datetime], int]
"""Returns how many alerts of the night had arrived before a moment."""

MOST_MOMENTS = 60
_PEAKS = 12
_MOST_GAPS, _HALVINGS = 20, 12
_A_MOMENT = timedelta(milliseconds=1)


class LagPoint(BaseModel):
    """How many alerts had arrived by a moment, and how many were stored or set aside."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    arrived: int
    taken: int

    @property
    def lag(self) -> int:
        """Return how many alerts waited; never negative, even if two clocks differ."""
        return max(0, self.arrived - self.taken)


@dataclass(frozen=True)
class Intake:
    """The cumulative number of rows stored and set aside at each of several moments, in order."""

    moments: Sequence[datetime]
    totals: Sequence[int]

    @classmethod
    def of(cls, written: Iterable[tuple[datetime, int]]) -> Self:
        """Return the intake of files, each with the moment it was written and its rows."""
        files = sorted(written)
        return cls([at for at, _ in files], list(accumulate(rows for _, rows in files)))

    def at(self, moment: datetime) -> int:
        """Return how many alerts had been stored or set aside by `moment`, inclusive."""
        number = bisect_right(self.moments, moment)
        return self.totals[number - 1] if number else 0

    def gaps(self) -> list[tuple[datetime, datetime]]:
        """Return the intervals in which nothing was written, the longest first."""
        return sorted(pairwise(self.moments), key=lambda gap: gap[0] - gap[1])


def moments_of(start: datetime, end: datetime, intake: Intake) -> list[datetime]:
    """Return up to MOST_MOMENTS moments at which to compute the lag.

    They are spread evenly from `start` to `end`. Further moments are just before long gaps end,
    where the lag has peaks that an even spread would miss.
    """
    first, last = min([start, *intake.moments[:1]]), max([end, *intake.moments[-1:]])
    steps = MOST_MOMENTS - _PEAKS - 1
    even = {first + (last - first) * number / steps for number in range(steps + 1)}
    peaks = {till - _A_MOMENT for _, till in intake.gaps()[:_PEAKS]}
    return sorted(even | peaks)


def lag_curve(moments: Iterable[datetime], arrived: Arrived, intake: Intake) -> list[LagPoint]:
    """Return the lag at each moment."""
    return [LagPoint(at=at, arrived=arrived(at), taken=intake.at(at)) for at in moments]


def longest_gap(arrived: Arrived, intake: Intake) -> timedelta:
    """Return the longest time without a new file while alerts were waiting.

    A gap counts from when its first alert waits, so that a quiet topic makes no gap. Bisection
    finds that moment with a bounded number of requests for a night of any length; the result is too
    short by at most 1/4096 of a gap.
    """
    longest = timedelta(0)
    for since, till in intake.gaps()[:_MOST_GAPS]:
        if till - since <= longest:
            break  # those that follow are shorter still
        taken = intake.at(since)
        if arrived(since) <= taken:
            since = _first_wait(arrived, taken, since, till)
        longest = max(longest, till - since)
    return longest


def _first_wait(arrived: Arrived, taken: int, since: datetime, till: datetime) -> datetime:
    nobody, somebody = since, till
    for _ in range(_HALVINGS):
        middle = nobody + (somebody - nobody) / 2
        if arrived(middle) > taken:
            somebody = middle
        else:
            nobody = middle
    return somebody

"""Nights: a name, and a window of local time in which the night's alerts come.

A night is named by the local date on which it opens. Windows are local wall times, so that a
night is an hour shorter or longer where the clocks change in it:

- a time that is skipped is taken as its hour later, which is what the clocks then show;
- of a time that comes twice, a night opens at the first and closes at the second;
- a night closes at the latest when the next one opens, so that no moment is of two nights.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fink_k8s.core.base.errors import InvalidRequest, shown
from fink_k8s.core.base.names import date_of

_WINDOW = re.compile(r"(?P<zone>\S+) +(?P<opens>[0-9:]+)-(?P<closes>[0-9:]+)")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Night:
    """One night: its name `YYYYMMDD`, and the moments (UTC) at which it opens and closes."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class NightWindow:
    """The local times at which each night opens and closes.

    A closing at or before the opening is of the next day; the same time is 24 hours.
    """

    zone: ZoneInfo
    opens: time
    closes: time

    def __str__(self) -> str:
        """Return the text that `window_from` reads."""
        return f"{self.zone.key} {self.hours}"

    @property
    def hours(self) -> str:
        """Return opening and closing, e.g. `00:01-20:00`."""
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def night(self, name: str) -> Night:
        """Return the night of that name.

        Raises:
            InvalidRequest: the name is not a date `YYYYMMDD`.
        """
        return self._night_on(date_of(name))

    def night_at(self, moment: datetime) -> Night:
        """Return the latest night that has opened by `moment` (aware); it may be over by then."""
        if moment.tzinfo is None:
            raise InvalidRequest("a time without a time zone has no night; use an aware datetime")
        # Clocks that go back over midnight open a night before its date begins for good.
        day = moment.astimezone(self.zone).date() + _DAY
        while self._opening(day) > moment:
            day -= _DAY
        return self._night_on(day)

    def following(self, night: Night) -> Night:
        """Return the night of the next date."""
        return self._night_on(date_of(night.name) + _DAY)

    def before(self, night: Night, nights: int) -> Night:
        """Return the night that is `nights` dates earlier."""
        return self._night_on(date_of(night.name) - nights * _DAY)

    def _night_on(self, day: date) -> Night:
        start = self._opening(day)
        last_day = day if self.closes > self.opens else day + _DAY
        closing = max(self._moment(last_day, self.closes, fold) for fold in (0, 1))
        # If the clocks skip the opening of a short window, it can close first: that night is empty.
        end = max(start, min(closing, self._opening(day + _DAY)))
        return Night(f"{day:%Y%m%d}", start, end)

    def _opening(self, day: date) -> datetime:
        return self._moment(day, self.opens, fold=0)

    def _moment(self, day: date, at: time, fold: int) -> datetime:
        return datetime.combine(day, at.replace(fold=fold), self.zone).astimezone(UTC)


def window_from(text: str) -> NightWindow:
    """Return the window that `text` describes, e.g. `Europe/Paris 00:01-20:00`.

    Raises:
        InvalidRequest: it has another shape, or names an unknown zone or an invalid time of day.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(
            f"night window {shown(text)} is not of the form ZONE HH:MM-HH:MM; "
            "use e.g. Europe/Paris 00:01-20:00"
        )
    return NightWindow(
        _zone_from(match["zone"]), _time_from(match["opens"]), _time_from(match["closes"])
    )


def _zone_from(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # KeyError: no such zone; OSError: a folder of zones; ValueError: a path, or no file of a zone.
    except (KeyError, OSError, ValueError):
        raise InvalidRequest(
            f"time zone {shown(name)} is unknown; use a name from the IANA database, "
            "e.g. Europe/Paris"
        ) from None


def _time_from(text: str) -> time:
    try:
        if _TIME.fullmatch(text):
            return time.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidRequest(f"time {shown(text)} is not a valid time of day; use 00:00 to 23:59")

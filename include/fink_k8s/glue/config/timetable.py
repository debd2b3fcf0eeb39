"""The timetable of nights: one run a night, begun when the night opens.

Airflow asks a timetable for the next run each time it reads the DAG's file, and after each run that
it makes. The answer depends on the last automated run and, without catch-up, on the clock.
"""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import timezone
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from fink_k8s.core.config.night_windows import Night, window_from

if TYPE_CHECKING:
    from airflow.utils.types import DagRunType
    from pendulum import DateTime

LOOK_BACK = 3
"""Without catch-up, how many nights before the current one still run: about as long as Kafka keeps
alerts."""

# A moved window leaves a night's name, where its opening moves by less than half a day.
_NEAR = timedelta(hours=12)
_RUN_ID = re.compile(r"scheduled__night-([0-9]{8})__.*")


class NightTimetable(Timetable):
    """One run per night of `survey`; its window is a text that `window_from` reads.

    A run's data interval is its night, and it begins at the interval's start.
    """

    def __init__(self, survey: str, window_text: str) -> None:
        self._survey = survey
        self._window = window_from(window_text)
        self.description = f"One run per night of {survey}, started when the night opens"

    @property
    def summary(self) -> str:
        """Return the survey of the nights, and when they are."""
        return f"{self._survey} nights {self._window.hours} {self._window.zone.key}"

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` takes."""
        return {"survey": self._survey, "window": str(self._window)}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Return the timetable that was serialized."""
        return cls(data["survey"], data["window"])

    def infer_manual_data_interval(self, *, run_after: "DateTime") -> DataInterval:
        """Return the latest night that has opened by then."""
        return _interval_of(self._window.night_at(run_after))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run of the night after the last one, or of the first night there is.

        Without catch-up, nights more than `LOOK_BACK` before that of now are left out.
        """
        nights = []
        if last_automated_data_interval:
            nights.append(self._window.following(self._night_of(last_automated_data_interval)))
            if not restriction.catchup:
                latest = self._window.night_at(timezone.utcnow())
                nights.append(self._window.before(latest, LOOK_BACK))
        elif not (restriction.catchup and restriction.earliest):
            nights.append(self._open_or_next(timezone.utcnow()))
        if restriction.earliest:
            nights.append(self._first_from(restriction.earliest))
        night = max(nights, key=lambda night: night.start)
        if restriction.latest and night.start > restriction.latest:
            return None
        interval = _interval_of(night)
        return DagRunInfo(run_after=interval.start, data_interval=interval)

    def generate_run_id(
        self,
        *,
        run_type: "DagRunType",
        run_after: "DateTime",
        data_interval: DataInterval | None,
        **extra: Any,
    ) -> str:
        """Return an id that names the night of a scheduled run; others have Airflow's own.

        Its time keeps it unique where a moved window gives a name twice: Airflow's scheduler would
        stumble over a second run of one id.
        """
        if data_interval is None or run_type.value != "scheduled":
            return super().generate_run_id(
                run_type=run_type, run_after=run_after, data_interval=data_interval, **extra
            )
        night = self._night_of(data_interval).name
        return run_type.generate_run_id(suffix=f"night-{night}__{data_interval.start.isoformat()}")

    def _night_of(self, interval: DataInterval) -> Night:
        """Return the night that opens nearest to the interval, which an earlier window may have."""
        return self._window.night_at(interval.start + _NEAR)

    def _open_or_next(self, now: datetime) -> Night:
        night = self._window.night_at(now)
        return night if now < night.end else self._window.following(night)

    def _first_from(self, moment: datetime) -> Night:
        night = self._window.night_at(moment)
        return night if night.start >= moment else self._window.following(night)


def night_named_in(run_id: str) -> str:
    """Return the night that a scheduled run's id names; empty for other runs."""
    match = _RUN_ID.fullmatch(run_id)
    return match[1] if match else ""


def _interval_of(night: Night) -> DataInterval:
    return DataInterval(timezone.coerce_datetime(night.start), timezone.coerce_datetime(night.end))

"""Continue to watch a stream after the night's end, until all its alerts are stored."""

from datetime import datetime, timedelta
from typing import Any

from fink_k8s.core.night.watch_event import Sign, WatchEvent
from fink_k8s.glue.night.night_trigger import NightTrigger
from fink_k8s.glue.night.watch_operator import WatchNightOperator

_LONGEST_DRAIN = timedelta(days=2)


class DrainNightOperator(WatchNightOperator):
    """Watch after the night's end, until all alerts are stored or the grace period is over.

    The night is drained when the lag is 0 and no alert has arrived for `quiet_s` seconds. The grace
    period is over when the lag has not fallen for `grace_s` seconds while it was watched. `until`
    is when the night's watch ended. A stream that dies during the drain is restarted as during the
    night; a stream that was stopped stays stopped.

    Returns to XCom: as `WatchNightOperator`, and waited_s, is_drained.
    """

    template_fields = (*WatchNightOperator.template_fields, "quiet_s", "grace_s")
    is_night_over = True

    def __init__(self, *, quiet_s: Any, grace_s: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quiet_s = quiet_s
        self.grace_s = grace_s

    @property
    def deadline(self) -> datetime:
        """Return when the task ends at the latest: it may have to read a whole night."""
        return super().deadline + timedelta(seconds=self.grace_s) + _LONGEST_DRAIN

    def trigger(self) -> NightTrigger:
        """Return the trigger to wait for."""
        return NightTrigger(
            self.conn_id,
            self.namespace,
            self.stream,
            self.until,
            quiet_s=self.quiet_s,
            grace_s=self.grace_s,
            when_killed=self.when_killed,
        )

    def _begins(self, context: Any) -> datetime:
        """Return when the run began: a stop during its watch is meant for this stream."""
        return context["dag_run"].start_date

    def _result(self, event: WatchEvent) -> dict[str, Any]:
        result = super()._result(event)
        waited = datetime.fromisoformat(result["ended_at"]) - datetime.fromisoformat(self.until)
        return {
            **result,
            "waited_s": round(waited.total_seconds(), 1),
            "is_drained": event.sign is Sign.DRAINED,
        }

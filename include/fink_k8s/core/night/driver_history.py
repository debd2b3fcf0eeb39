"""What a night's watch has seen of the stream's drivers: since when they run, and why they went."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.base.names import is_of_operator
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.log_checks import DELETED
from fink_k8s.core.health.stream_health import Health, HealthVerdict


@dataclass(frozen=True)
class DriverHistory:
    """The drivers of one stream, up to the last look."""

    last: KubernetesObject | None = None
    """The driver that was seen last, alive or not."""
    started: datetime | None = None
    """When it started to run; None where none was seen to run."""
    was_alive: bool = False
    """Whether its query was seen to live."""
    lived_s: float = 0
    """How long it had run when its query was last seen to live, in seconds."""
    before_s: float = 0
    """The same, of the driver before it."""
    down_since: datetime | None = None
    """Since when no query lives."""
    cause: str = ""
    """Why; empty as long as one lives, and where nobody knows."""
    is_taken: bool = False
    """Whether the last look shows that the driver was taken away, though nobody ends its stream."""
    was_taken: bool = False
    """Whether that was so at any look: it did not end by itself."""
    _seen: Evidence | None = None

    def after(self, evidence: Evidence, health: Health, now: datetime) -> Self:
        """Return the history with one more look. `health` is what `evidence` shows."""
        is_taken = self._seen is not None and _is_taken_away(self._seen, evidence)
        seen = replace(
            self, last=evidence.driver or self.last, is_taken=is_taken, _seen=evidence
        )._starting(evidence.driver_started)
        if health.verdict is HealthVerdict.HEALTHY:
            seen = seen._living(now)
        else:
            seen = seen._failing(health, now)
        return replace(seen, cause=str(DELETED), was_taken=True) if is_taken else seen

    def _starting(self, started: datetime | None) -> Self:
        if started is None or started == self.started:
            return self
        return replace(
            self,
            started=started,
            was_alive=False,
            was_taken=False,
            lived_s=0,
            before_s=self.lived_s,
        )

    def _living(self, now: datetime) -> Self:
        lived = (now - (self.started or now)).total_seconds()
        return replace(
            self, was_alive=True, was_taken=False, lived_s=lived, down_since=None, cause=""
        )

    def _failing(self, health: Health, now: datetime) -> Self:
        # What the operator and the last words of one that was taken away say later is an echo.
        is_new = health.diagnosis is not None and not self.was_taken
        cause = str(health.diagnosis) if is_new else self.cause
        return replace(self, down_since=self.down_since or now, cause=cause)

    def lifetime(self, evidence: Evidence) -> float:
        """Return how long the driver that died had run, in seconds; 0 where nobody knows.

        Of one that was dead before this watch began, the cluster is asked.
        """
        unseen = evidence.lifetime if self.started is None else None
        return self.lived_s or (unseen.total_seconds() if unseen else 0)


def _is_taken_away(before: Evidence, now: Evidence) -> bool:
    """Tell whether a driver that ran is gone, or going, though nobody ends its stream.

    One that ends by itself is seen to have failed first. The operator takes it to be running for
    some seconds; one of plain spark-submit that was asked to end is seen to be going first.
    """
    if before.driver_phase != "Running":
        return False
    if now.application is None:
        if before.application is not None or now.exists or _is_let_end(before):
            return False
        # Where the operator launched it, somebody has deleted its application.
        return not is_of_operator(before.driver or {})
    if now.state != "RUNNING" or "deletionTimestamp" in now.application["metadata"]:
        return False
    return now.driver is None or "deletionTimestamp" in now.driver["metadata"]


def _is_let_end(evidence: Evidence) -> bool:
    """Tell whether the driver is given time to end: who deletes by force gives none."""
    return bool(evidence.driver and evidence.driver["metadata"].get("deletionGracePeriodSeconds"))

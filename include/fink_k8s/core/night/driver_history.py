"""The history of a night's drivers: when each started, and why it ended."""

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
    """The last driver seen, alive or not."""
    started: datetime | None = None
    """When it started to run; None if none was seen running."""
    was_alive: bool = False
    """Whether its query was seen alive."""
    lived_s: float = 0
    """How long it had run when its query was last seen alive, in seconds."""
    before_s: float = 0
    """The same for the previous driver."""
    down_since: datetime | None = None
    """Since when no query is alive."""
    cause: str = ""
    """The cause; empty while a query is alive, or if unknown."""
    is_taken: bool = False
    """Whether the last look shows that the driver was deleted, but its stream was not stopped."""
    was_taken: bool = False
    """Whether any look showed this: the driver did not end by itself."""
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
        # Later messages of the operator and of a deleted driver are only consequences.
        is_new = health.diagnosis is not None and not self.was_taken
        cause = str(health.diagnosis) if is_new else self.cause
        return replace(self, down_since=self.down_since or now, cause=cause)

    def lifetime(self, evidence: Evidence) -> float:
        """Return how long the dead driver had run, in seconds; 0 if unknown.

        For a driver that died before this watch began, the cluster's record counts.
        """
        unseen = evidence.lifetime if self.started is None else None
        return self.lived_s or (unseen.total_seconds() if unseen else 0)


def _is_taken_away(before: Evidence, now: Evidence) -> bool:
    """Tell whether a running driver was deleted, but its stream was not stopped.

    A driver that ends by itself is seen as failed first. After a deletion, the operator still
    reports it as running for some seconds. A driver of plain spark-submit that was asked to end is
    first seen with a deletion timestamp.
    """
    if before.driver_phase != "Running":
        return False
    if now.application is None:
        if before.application is not None or now.exists or _is_let_end(before):
            return False
        # If the operator launched it, its application was deleted.
        return not is_of_operator(before.driver or {})
    if now.state != "RUNNING" or "deletionTimestamp" in now.application["metadata"]:
        return False
    return now.driver is None or "deletionTimestamp" in now.driver["metadata"]


def _is_let_end(evidence: Evidence) -> bool:
    """Tell whether the driver has time to end; a forced deletion gives none."""
    return bool(evidence.driver and evidence.driver["metadata"].get("deletionGracePeriodSeconds"))

"""What a night's watch makes of what it sees, look by look: go on, note a restart, or end.

It is patient with all that the Spark Operator heals by itself, and ends only where the night is
over, or where somebody has to act.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.progress_checks import START_TIME, query_dead
from fink_k8s.core.health.stream_health import Health, HealthVerdict, assess
from fink_k8s.core.night.driver_history import DriverHistory
from fink_k8s.core.night.restart_log import RestartLog
from fink_k8s.core.night.watch_event import ENDED_BY_SOMEBODY, Sign, WatchEnd

GONE_FOR = timedelta(seconds=60)
"""How long an application has to be missing: in an upgrade there is none for some seconds."""
SILENT_FOR = timedelta(seconds=60)
"""How long no metrics may come from a driver that runs: the way there may be cut, not its life."""


@dataclass
class NightWatch:
    """Judges one stream until `until`.

    A query that is dead under a Running driver is known when two probes in a row have found none,
    unless the driver is so young that the query may not have begun; one that was seen alive under
    this driver has. A driver that does not answer at all is given `silent_for`.
    """

    until: datetime
    start_time: timedelta = START_TIME
    gone_for: timedelta = GONE_FOR
    silent_for: timedelta = SILENT_FOR
    last: Health | None = None
    driver: DriverHistory = field(default_factory=DriverHistory)
    restarts: RestartLog = field(default_factory=RestartLog)
    _looked_at: datetime | None = None
    _gone_since: datetime | None = None
    _dead_at: int = 0
    _dead_since: datetime | None = None

    def judge(self, evidence: Evidence, now: datetime) -> WatchEnd | None:
        """Return how the watch ended, or None as long as it goes on. `now` is aware."""
        health = self.last = assess(evidence)
        if self._looked_at and now - self._looked_at >= self.silent_for:
            self._dead_since = self._gone_since = None  # nobody has looked meanwhile
        self._looked_at = now
        was_down = self.driver.down_since is not None
        self.driver = self.driver.after(evidence, health, now)
        if evidence.exists:
            self.restarts = self.restarts.after(
                evidence, health, self.driver, now, was_down=was_down
            )
        elif self.driver.is_taken:
            health = Health(HealthVerdict.FAILED, self.driver.cause)
        if _is_being_ended(evidence):
            health = Health(HealthVerdict.ABSENT, "somebody ends the stream")
        end = self._end(health, evidence, now)
        if end is None and now >= self.until:
            return WatchEnd(sign=Sign.TIME_IS_UP, reason=health.reason)
        return end

    def _end(self, health: Health, evidence: Evidence, now: datetime) -> WatchEnd | None:
        """Return how the stream ended, or None where it has not."""
        self._gone_since = None if evidence.exists else self._gone_since or now
        if self._gone_since and now - self._gone_since >= self.gone_for:
            return WatchEnd(sign=Sign.GONE, reason=ENDED_BY_SOMEBODY)
        cause = ""
        if health.verdict in {HealthVerdict.FAILED, HealthVerdict.ENDED}:
            cause = self.driver.cause if self.driver.was_taken else health.reason
        if self._has_no_query(health, evidence, now):
            age = now - (evidence.driver_started or now)
            if self.driver.was_alive or age >= self.start_time:
                cause = str(query_dead(age, answers=health.verdict is HealthVerdict.NO_QUERY))
        if not cause:
            return None
        return WatchEnd(
            sign=Sign.DIED,
            reason=cause,
            lived_s=self.driver.lifetime(evidence),
            holder=_uid_of(evidence.application or evidence.driver),
        )

    def _has_no_query(self, health: Health, evidence: Evidence, now: datetime) -> bool:
        """Tell whether two probes in a row have found no query, or none an answer for long.

        A driver without query may answer now and then: it is one and the same death.
        """
        if health.verdict not in {HealthVerdict.NO_QUERY, HealthVerdict.SILENT}:
            self._dead_at, self._dead_since = 0, None
            return False
        if not evidence.probes:
            return False
        self._dead_at = self._dead_at or evidence.probes
        self._dead_since = self._dead_since or now
        is_long = (
            health.verdict is HealthVerdict.NO_QUERY or now - self._dead_since >= self.silent_for
        )
        return is_long and evidence.probes > self._dead_at


def _is_being_ended(evidence: Evidence) -> bool:
    """Tell a stream that is being stopped: its application is gone, its drivers are asked to end.

    Such a driver ends with exit code 0 in plain sight, and must not be taken for one that died.
    """
    drivers = evidence.drivers
    return (
        evidence.application is None
        and bool(drivers)
        and all(driver["metadata"].get("deletionTimestamp") for driver in drivers)
    )


def _uid_of(thing: KubernetesObject | None) -> str:
    return str((thing or {}).get("metadata", {}).get("uid", ""))

"""The decision of a night's watch at each look: continue, record a restart, or end.

The watch tolerates everything that the Spark Operator repairs by itself. It ends only when the
night is over, or when the stream needs action.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fink_k8s.core.base.kubernetes import uid_of
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.progress_checks import START_TIME, query_dead
from fink_k8s.core.health.stream_health import Health, HealthVerdict, assess
from fink_k8s.core.night.driver_history import DriverHistory
from fink_k8s.core.night.restart_log import RestartLog
from fink_k8s.core.night.watch_event import ENDED_BY_SOMEBODY, Sign, WatchEnd

GONE_FOR = timedelta(seconds=60)
"""How long an application must be missing: during an upgrade there is none for some seconds."""
SILENT_FOR = timedelta(seconds=60)
"""How long a running driver may return no metrics: perhaps only the connection is broken."""


@dataclass
class NightWatch:
    """Judges one stream until `until`.

    A query counts as dead under a Running driver if two probes in a row have found none, unless the
    driver is so young that its query may not have started and was not seen alive. A driver that
    does not answer at all counts as dead after `silent_for`.
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
        """Return how the watch ended, or None while it goes on. `now` is an aware datetime."""
        health = self.last = assess(evidence)
        if self._looked_at and now - self._looked_at >= self.silent_for:
            self._dead_since = self._gone_since = None  # no look in between
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
            health = Health(HealthVerdict.ABSENT, "the stream is being stopped")
        end = self._end(health, evidence, now)
        if end is None and now >= self.until:
            return WatchEnd(sign=Sign.TIME_IS_UP, reason=health.reason)
        return end

    def _end(self, health: Health, evidence: Evidence, now: datetime) -> WatchEnd | None:
        """Return how the stream ended, or None if it has not."""
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
            holder=uid_of(evidence.application or evidence.driver),
        )

    def _has_no_query(self, health: Health, evidence: Evidence, now: datetime) -> bool:
        """Tell whether two probes in a row found no query, or got no answer for long.

        The metrics of a driver without a query may answer now and then: it is the same failure.
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
    """Tell whether a stream is being stopped: no application, and its drivers are being deleted.

    Such a driver visibly ends with exit code 0, and must not be mistaken for one that died.
    """
    drivers = evidence.drivers
    return (
        evidence.application is None
        and bool(drivers)
        and all(driver["metadata"].get("deletionTimestamp") for driver in drivers)
    )

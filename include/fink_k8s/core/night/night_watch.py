"""What a night's watch makes of what it sees, look by look: go on, note a restart, or end.

It is patient with all that the Spark Operator heals by itself, and ends only where the night is
over, or where somebody has to act.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.base.names import is_of_operator
from fink_k8s.core.diagnosis import Evidence
from fink_k8s.core.diagnosis.log_checks import DELETED
from fink_k8s.core.diagnosis.progress_checks import START_TIME, query_dead
from fink_k8s.core.health.stream_health import Health, HealthVerdict, assess
from fink_k8s.core.stream.restarts import Restart, RestartedBy, is_told, restarts_of

GONE_FOR = timedelta(seconds=60)
"""How long an application has to be missing: in an upgrade there is none for some seconds."""
SILENT_FOR = timedelta(seconds=60)
"""How long no metrics may come from a driver that runs: the way there may be cut, not its life."""
ENDED_BY_SOMEBODY = (
    "the stream is gone: somebody ended it, or deleted its application; trigger fink_night again "
    "to go on with the night"
)
UNSEEN = "the driver was deleted, or its end was not seen"


class Sign(StrEnum):
    """Why a watch ended."""

    TIME_IS_UP = "time-is-up"
    DRAINED = "drained"
    DIED = "died"
    GONE = "gone"
    UNWATCHABLE = "unwatchable"


@dataclass(frozen=True)
class WatchEnd:
    """How a watch ended.

    `lived_s` is how long the driver that died had run. `holder` is the uid of what still holds the
    stream's name, its application or a driver without one; empty where nothing is left.
    """

    sign: Sign
    reason: str
    lived_s: float = 0
    holder: str = ""


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
    history: list[Restart] = field(default_factory=list)
    """The stream's restarts, as its application told them last."""
    news: list[Restart] = field(default_factory=list)
    """The same, where the last look has something new to tell of them."""
    ran: KubernetesObject | None = None
    """The driver that was seen last, alive or not."""
    _started: datetime | None = None
    _was_alive: bool = False
    _down_since: datetime | None = None
    _lived: float = 0
    _before: float = 0
    _cause: str = ""
    _taken: datetime | None = None
    _over: dict[datetime, Restart] = field(default_factory=dict)
    _seen: Evidence | None = None
    _gone_since: datetime | None = None
    _dead_at: int = 0
    _dead_since: datetime | None = None
    _looked_at: datetime | None = None

    def judge(self, evidence: Evidence, now: datetime) -> WatchEnd | None:
        """Return how the watch ended, or None as long as it goes on. `now` is aware."""
        health = self.last = assess(evidence)
        was_down = self._down_since is not None
        if self._looked_at and now - self._looked_at >= self.silent_for:
            self._dead_since = self._gone_since = None  # nobody has looked meanwhile
        self._looked_at = now
        self.ran = evidence.driver or self.ran
        taken = self._seen is not None and _is_taken_away(self._seen, evidence)
        self._follow_driver(evidence, health, now)
        if taken:
            self._cause, self._taken = str(DELETED), self._started
        self._seen = evidence
        if evidence.exists:
            self._hear(evidence, health, now, was_down=was_down)
        if _is_being_ended(evidence):
            health = Health(HealthVerdict.ABSENT, "somebody ends the stream")
        if taken and not evidence.exists:
            health = Health(HealthVerdict.FAILED, self._cause)
        died = self._died(health, evidence, now)
        if died is None and now >= self.until:
            return WatchEnd(Sign.TIME_IS_UP, health.reason)
        return died

    def _died(self, health: Health, evidence: Evidence, now: datetime) -> WatchEnd | None:
        self._gone_since = None if evidence.exists else self._gone_since or now
        if self._gone_since and now - self._gone_since >= self.gone_for:
            return WatchEnd(Sign.GONE, ENDED_BY_SOMEBODY)
        cause = ""
        if health.verdict in {HealthVerdict.FAILED, HealthVerdict.ENDED}:
            cause = self._cause if self._was_deleted else health.reason
        if self._has_no_query(health, evidence, now):
            age = now - (evidence.driver_started or now)
            if self._was_alive or age >= self.start_time:
                cause = str(query_dead(age, answers=health.verdict is HealthVerdict.NO_QUERY))
        if not cause:
            return None
        holder = _uid_of(evidence.application or evidence.driver)
        return WatchEnd(Sign.DIED, cause, self._lived or self._lived_unseen(evidence), holder)

    def _lived_unseen(self, evidence: Evidence) -> float:
        """Return how long a driver had run that was dead before this watch began."""
        lived = evidence.lifetime if self._started is None else None
        return lived.total_seconds() if lived else 0

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

    def _follow_driver(self, evidence: Evidence, health: Health, now: datetime) -> None:
        """Keep since when the driver runs, or is down, and why."""
        started = evidence.driver_started
        if started and started != self._started:
            self._before, self._lived = self._lived, 0
            self._started, self._was_alive = started, False
        if health.verdict is HealthVerdict.HEALTHY:
            self._was_alive, self._down_since, self._cause = True, None, ""
            self._lived = (now - (self._started or now)).total_seconds()
            return
        self._down_since = self._down_since or now
        # What the operator and the last words of one that was taken away say later is an echo.
        if health.diagnosis and not self._was_deleted:
            self._cause = str(health.diagnosis)

    @property
    def _was_deleted(self) -> bool:
        """Tell whether the last driver did not end, but was taken away."""
        return self._cause == str(DELETED) and self._taken == self._started

    def _hear(self, evidence: Evidence, health: Health, now: datetime, *, was_down: bool) -> None:
        """Take up what the stream tells of its restarts, and what is new of them."""
        told = restarts_of(evidence.application or evidence.driver)
        self.history = [self._over.get(restart.at, restart) for restart in told]
        self.news = self._news(evidence, health, now, was_down=was_down)
        if not self.news and evidence.application and self.history != told:
            self.news = self.history  # it could not be noted so far

    def _news(
        self, evidence: Evidence, health: Health, now: datetime, *, was_down: bool
    ) -> list[Restart]:
        """Return the stream's restarts with what is new of them; empty where nothing is."""
        history, application = self.history, _uid_of(evidence.application)
        if not is_told(history, application, evidence.starts):
            restart = Restart(
                at=self._down_since or now,
                cause=self._cause or UNSEEN,
                by=RestartedBy.OPERATOR,
                lived_s=round(self._before if evidence.driver_started else self._lived, 1),
                application=application,
            )
            return [*history, restart]
        is_back = health.verdict is HealthVerdict.HEALTHY and history and not history[-1].is_over
        # Only an application can be told; of a driver's return this watch knows what it saw.
        if is_back and (was_down or evidence.application is not None):
            last = history[-1]
            back = max(0.0, round((now - last.at).total_seconds(), 1))
            self._over[last.at] = last.model_copy(update={"back_after_s": back})
            return [*history[:-1], self._over[last.at]]
        return []


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


def _is_let_end(evidence: Evidence) -> bool:
    """Tell whether the driver is given time to end: who deletes by force gives none."""
    return bool(evidence.driver and evidence.driver["metadata"].get("deletionGracePeriodSeconds"))


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


def _uid_of(thing: KubernetesObject | None) -> str:
    return str((thing or {}).get("metadata", {}).get("uid", ""))

"""How long a state may last: from a sequence of health verdicts to one outcome.

A single look cannot distinguish a start from a failure, or a hiccup from a fault; only time can.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.pod_checks import OPERATOR_TIME, operator_away
from fink_k8s.core.diagnosis.progress_checks import START_TIME, query_dead
from fink_k8s.core.health.stream_health import Health, HealthVerdict, assess

# The metrics of a driver without a query may answer now and then: it is the same failure.
_CLOCKS = {HealthVerdict.SILENT: HealthVerdict.NO_QUERY}


class Goal(StrEnum):
    """What the caller waits for."""

    RUNNING = "running"
    HEALTHY = "healthy"


@dataclass(frozen=True)
class Outcome:
    """The end of a wait: whether the goal was reached, and one line with the reason."""

    reached: bool
    reason: str
    retryable: bool = False


@dataclass
class Watch:
    """Judges one stream, look by look, until it reaches its goal or cannot reach it.

    `patience` is how long to tolerate a problem that may resolve itself; `start_time` how long a
    driver may take from its start to its query; `operator_time` how long an application may have no
    state.
    """

    goal: Goal
    patience: timedelta = timedelta(seconds=8)
    start_time: timedelta = START_TIME
    operator_time: timedelta = OPERATOR_TIME
    last: Health | None = None
    _since: dict[HealthVerdict, datetime] = field(default_factory=dict)

    def judge(self, evidence: Evidence, now: datetime) -> Outcome | None:
        """Return the outcome, or None while the wait goes on. `now` is an aware datetime."""
        health = assess(evidence)
        self.last = health
        self._note(health.verdict, now)
        match health.verdict:
            case HealthVerdict.HEALTHY:
                return Outcome(True, health.reason)
            case HealthVerdict.FAILED | HealthVerdict.ABSENT | HealthVerdict.ENDED:
                return Outcome(False, health.reason)
            case HealthVerdict.TROUBLED if (
                self._lasted(HealthVerdict.TROUBLED, now) >= self.patience
            ):
                return Outcome(False, health.reason, retryable=True)
            case HealthVerdict.NO_QUERY | HealthVerdict.SILENT:
                if self.goal is Goal.RUNNING:
                    return Outcome(True, "the driver is running")
                return self._judge_query(health.verdict, evidence, now)
            case HealthVerdict.STARTING if evidence.state == "":
                return self._judge_operator(now)
        return None

    def _judge_operator(self, now: datetime) -> Outcome | None:
        waited = self._lasted(HealthVerdict.STARTING, now)
        if waited < self.operator_time:
            return None
        return Outcome(False, str(operator_away(waited)), retryable=True)

    def _judge_query(
        self, verdict: HealthVerdict, evidence: Evidence, now: datetime
    ) -> Outcome | None:
        started = evidence.driver_started
        age = now - started if started else timedelta(0)
        if age < self.start_time or self._lasted(verdict, now) < self.patience:
            return None
        return Outcome(False, str(query_dead(age, answers=verdict is HealthVerdict.NO_QUERY)))

    def _note(self, verdict: HealthVerdict, now: datetime) -> None:
        """Record since when a verdict holds; trouble is over only when the stream is healthy."""
        clock = _CLOCKS.get(verdict, verdict)
        kept = {clock} if verdict is HealthVerdict.HEALTHY else {clock, HealthVerdict.TROUBLED}
        self._since = {known: since for known, since in self._since.items() if known in kept}
        self._since.setdefault(clock, now)

    def _lasted(self, verdict: HealthVerdict, now: datetime) -> timedelta:
        return now - self._since[_CLOCKS.get(verdict, verdict)]

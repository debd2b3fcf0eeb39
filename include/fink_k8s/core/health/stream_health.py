"""Is a stream alive? Application state x driver pod x the query's own gauges.

A Running driver is no proof: when its query ends, the gauges `spark.streaming.*` vanish within
seconds, while application and driver stay RUNNING.
"""

from dataclasses import dataclass
from enum import StrEnum

from fink_k8s.core.diagnosis.causes import Diagnosis
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.stream.states import Phase, phase_of


class HealthVerdict(StrEnum):
    """The condition of a stream at one moment."""

    ABSENT = "absent"
    STARTING = "starting"
    TROUBLED = "troubled"
    SILENT = "silent"
    NO_QUERY = "no-query"
    HEALTHY = "healthy"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True)
class Health:
    """A verdict, and one line that explains it."""

    verdict: HealthVerdict
    reason: str
    diagnosis: Diagnosis | None = None


def assess(evidence: Evidence) -> Health:
    """Return the health that the evidence shows.

    `TROUBLED` has a cause but may recover: the operator, the kubelet or the scheduler retries.
    `NO_QUERY` means that the driver's metrics show no live query: right after the start, the query
    has not begun; later, it has died. `SILENT` means that the driver's metrics do not answer. The
    caller knows how long these last and decides. A quiet topic is healthy: the query is alive even
    though no alerts arrive.
    """
    if not evidence.exists:
        return Health(HealthVerdict.ABSENT, "the stream does not exist")
    phase = phase_of(evidence.state)
    found = diagnose(evidence)
    if phase is Phase.DEAD:
        return Health(HealthVerdict.FAILED, str(found or evidence.message), found)
    if phase is Phase.ENDED:
        return Health(HealthVerdict.ENDED, "the stream has ended")
    if phase is Phase.PAUSED:
        return Health(
            HealthVerdict.FAILED,
            f"the application is {evidence.state}: set its spec.suspend to false",
        )
    if found:
        return Health(HealthVerdict.TROUBLED, str(found), found)
    if phase is not Phase.RUNNING or evidence.driver_phase != "Running":
        state = evidence.state or "new"
        return Health(
            HealthVerdict.STARTING, f"application {state}, driver {evidence.driver_phase}"
        )
    if evidence.metrics is None:
        return Health(HealthVerdict.SILENT, "driver Running, its metrics do not answer")
    if queries := evidence.live_queries:
        return Health(HealthVerdict.HEALTHY, f"driver Running, {queries} query alive")
    return Health(HealthVerdict.NO_QUERY, "driver Running, no live query")

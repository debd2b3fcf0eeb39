"""Is a stream alive? Application state x driver pod x the query's own gauges.

A Running driver is no proof: when its query ends, the gauges `spark.streaming.*` vanish within
seconds, while application and driver stay RUNNING.
"""

from dataclasses import dataclass
from enum import StrEnum

from fink_k8s.core.diagnosis import Category, Diagnosis, Evidence, diagnose

ENDED = frozenset({"COMPLETED", "SUCCEEDING"})
DEAD = frozenset({"FAILED", "SUBMISSION_FAILED"})


class Verdict(StrEnum):
    """What can be said of a stream at one moment."""

    ABSENT = "absent"
    STARTING = "starting"
    NO_QUERY = "no-query"
    HEALTHY = "healthy"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True)
class Health:
    """A verdict, and the one line that explains it."""

    verdict: Verdict
    reason: str
    diagnosis: Diagnosis | None = None


def assess(evidence: Evidence) -> Health:
    """Return the health that the evidence shows.

    `NO_QUERY` is a driver that runs without a live query: right after its start the query has
    not begun, later it has died. The caller, who knows how long it has lasted, tells the two
    apart. A quiet topic is healthy: the query lives though no alert comes.
    """
    if evidence.application is None:
        return Health(Verdict.ABSENT, "there is no such application")
    if found := diagnose(evidence):
        return Health(Verdict.FAILED, str(found), found)
    state = evidence.state
    if state in ENDED:
        return Health(Verdict.ENDED, "the stream has ended")
    if state in DEAD:
        return Health(Verdict.FAILED, f"the application is {state}: {evidence.message}")
    if state != "RUNNING" or _phase(evidence) != "Running":
        return Health(Verdict.STARTING, f"application {state or 'new'}, driver {_phase(evidence)}")
    if queries := live_queries(evidence):
        return Health(Verdict.HEALTHY, f"driver Running, {queries} query alive")
    return Health(Verdict.NO_QUERY, "driver Running, no live query")


def query_dead(seconds: float) -> Diagnosis:
    """Return the diagnosis of a driver that has run without a query for `seconds`."""
    return Diagnosis(
        Category.QUERY_DEAD,
        "the driver runs, but its query is dead",
        f"no gauges of a live query for {seconds:.0f} s",
        "Read the driver's log for the query's exception; delete the application to start anew",
    )


def live_queries(evidence: Evidence) -> int:
    """Return how many streaming queries the driver's gauges speak of."""
    gauges = (evidence.metrics or {}).get("gauges", {})
    names = {name.split(".spark.streaming.", 1)[1].rsplit(".", 1)[0]
             for name in gauges if ".spark.streaming." in name}  # fmt: skip
    return len(names)


def _phase(evidence: Evidence) -> str:
    driver = evidence.driver
    return str(driver["status"].get("phase", "unknown")) if driver else "not there"

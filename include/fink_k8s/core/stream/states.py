"""The Spark Operator's fourteen application states, and what each means for a stream.

A stream without the operator has the state that its driver pod implies.

Source: `ApplicationStateType` in the operator's API, v1beta2.
"""

from enum import StrEnum

from fink_k8s.core.base.errors import InvalidRequest


class Phase(StrEnum):
    """The meaning of an application's state for a task that waits for it."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    PAUSED = "paused"
    ENDED = "ended"
    DEAD = "dead"


_PHASES = {
    "": Phase.STARTING,
    "SUBMITTED": Phase.STARTING,
    "RUNNING": Phase.RUNNING,
    "SUCCEEDING": Phase.ENDED,
    "COMPLETED": Phase.ENDED,
    # The operator retries these three as long as the restart policy allows; then comes FAILED.
    "FAILING": Phase.RESTARTING,
    "SUBMISSION_FAILED": Phase.RESTARTING,
    "PENDING_RERUN": Phase.RESTARTING,
    "INVALIDATING": Phase.RESTARTING,
    "FAILED": Phase.DEAD,
    "SUSPENDING": Phase.PAUSED,
    "SUSPENDED": Phase.PAUSED,
    "RESUMING": Phase.STARTING,
    # The operator lost sight of the driver, e.g. with its node; it may be seen again.
    "UNKNOWN": Phase.RESTARTING,
}


_STATES_OF_PODS = {
    "Pending": "SUBMITTED",
    "Running": "RUNNING",
    "Succeeded": "COMPLETED",
    "Failed": "FAILED",
    "Unknown": "UNKNOWN",
}


def state_of_driver(pod_phase: str) -> str:
    """Return the application state that corresponds to a driver without an application.

    A stream that plain spark-submit started has only a driver pod, which nothing restarts.
    `pod_phase` is Kubernetes' PodPhase.
    """
    return _STATES_OF_PODS.get(pod_phase, "UNKNOWN")


def phase_of(state: str) -> Phase:
    """Return what `state` means.

    Raises:
        InvalidRequest: the operator has no such state.
    """
    try:
        return _PHASES[state]
    except KeyError:
        known = ", ".join(filter(None, _PHASES))
        raise InvalidRequest(
            f"application state {state!r} is unknown; known states: {known}"
        ) from None


def is_over(state: str) -> bool:
    """Tell whether the operator has finished: a new application may take its place."""
    return state in {"COMPLETED", "FAILED"}

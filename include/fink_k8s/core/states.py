"""The Spark Operator's fourteen application states, and what each means for a stream.

Source: `ApplicationStateType` in the operator's API, v1beta2.
"""

from enum import StrEnum

from fink_k8s.core.errors import InvalidRequest


class Phase(StrEnum):
    """What an application's state means for the one who waits for it."""

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
    # These three are tried again as long as the restart policy allows; then comes FAILED.
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


def phase_of(state: str) -> Phase:
    """Return what `state` means.

    Raises:
        InvalidRequest: the operator knows no such state.
    """
    try:
        return _PHASES[state]
    except KeyError:
        known = ", ".join(filter(None, _PHASES))
        raise InvalidRequest(f"application state {state!r} is unknown; known are {known}") from None


def is_over(state: str) -> bool:
    """Tell whether the operator will do nothing more: a new application may take its place."""
    return state in {"COMPLETED", "FAILED"}

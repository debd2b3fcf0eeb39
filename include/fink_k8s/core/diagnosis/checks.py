"""From evidence to one named cause with a remedy; pure: values in, `Diagnosis` out."""

from collections.abc import Callable

from fink_k8s.core.diagnosis import log_checks, pod_checks, progress_checks
from fink_k8s.core.diagnosis.causes import Diagnosis
from fink_k8s.core.diagnosis.evidence import Evidence

CHECKS: tuple[Callable[[Evidence], Diagnosis | None], ...] = (
    # What loses alerts.
    pod_checks.check_two_writers,
    # What the cluster reports about pods.
    pod_checks.check_waiting,
    pod_checks.check_node,
    pod_checks.check_schedule,
    pod_checks.check_driver_memory,
    # Known messages of programs, and of a run's tasks while the trouble was fresh.
    log_checks.check_deleted,
    log_checks.check_failure,
    log_checks.check_running,
    log_checks.check_run,
    # What numbers show.
    progress_checks.check_pair,
    progress_checks.check_offsets,
    # A failure of unknown cause.
    log_checks.check_submission,
    log_checks.check_crash_loop,
    log_checks.check_driver,
    # What holds up a stream that has not failed, and what is worth a warning.
    pod_checks.check_executor_memory,
    pod_checks.check_operator,
    log_checks.check_sources,
    progress_checks.check_query,
    progress_checks.check_stalled,
    progress_checks.check_late,
    progress_checks.check_topic,
    progress_checks.check_corrupt_alerts,
)
"""In order of certainty: conclusive evidence first."""


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """Return the first cause that the evidence shows, or None if nothing is wrong (yet)."""
    return next(filter(None, (check(evidence) for check in CHECKS)), None)

"""From evidence to one named cause with a remedy; pure: values in, `Diagnosis` out.

The categories are stable names: each is a section of docs/troubleshooting.md.
"""

from collections.abc import Callable

from fink_k8s.core.diagnosis import log_checks, pod_checks, progress_checks
from fink_k8s.core.diagnosis.causes import Category, Diagnosis, diagnosis_from
from fink_k8s.core.diagnosis.evidence import Evidence, Position, Topic
from fink_k8s.core.diagnosis.messages import diagnose_words

__all__ = [
    "Category",
    "Diagnosis",
    "Evidence",
    "Position",
    "Topic",
    "diagnose",
    "diagnose_words",
    "diagnosis_from",
]

# From what leaves no doubt to what is only the last that is known: first what loses alerts, then
# what the cluster says of pods, what programs say in words we know, what a run said while it was
# fresh, and what numbers show. Only then comes that something failed without a cause we know, and
# last what is worth a warning.
_CHECKS: tuple[Callable[[Evidence], Diagnosis | None], ...] = (
    pod_checks.check_two_writers,
    pod_checks.check_waiting,
    pod_checks.check_node,
    pod_checks.check_schedule,
    pod_checks.check_memory,
    log_checks.check_deleted,
    log_checks.check_failure,
    log_checks.check_running,
    log_checks.check_run,
    progress_checks.check_paths_match,
    progress_checks.check_offsets,
    log_checks.check_submission,
    log_checks.check_crash_loop,
    log_checks.check_driver,
    pod_checks.check_executors,
    pod_checks.check_operator,
    log_checks.check_sources,
    progress_checks.check_query,
    progress_checks.check_progress,
    progress_checks.check_late,
    progress_checks.check_topic_exists,
    progress_checks.check_share,
)


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """Return the first cause that the evidence shows, or None where nothing is wrong (yet)."""
    for check in _CHECKS:
        if found := check(evidence):
            return found
    return None

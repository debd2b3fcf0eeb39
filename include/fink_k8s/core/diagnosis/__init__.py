"""From evidence to one named cause with a remedy; pure: values in, `Diagnosis` out.

The categories are stable names: each is a section of docs/troubleshooting.md.
"""

from collections.abc import Callable

from fink_k8s.core.diagnosis import numbers, pods, words
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
    pods.check_two_writers,
    pods.check_waiting,
    pods.check_node,
    pods.check_schedule,
    pods.check_memory,
    words.check_deleted,
    words.check_failure,
    words.check_running,
    words.check_run,
    numbers.check_pair,
    numbers.check_offsets,
    words.check_submission,
    words.check_crash_loop,
    words.check_driver,
    pods.check_executors,
    pods.check_operator,
    words.check_sources,
    numbers.check_query,
    numbers.check_progress,
    numbers.check_late,
    numbers.check_topic,
    numbers.check_share,
)


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """Return the first cause that the evidence shows, or None where nothing is wrong (yet)."""
    for check in _CHECKS:
        if found := check(evidence):
            return found
    return None

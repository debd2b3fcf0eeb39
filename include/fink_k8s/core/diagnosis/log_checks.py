"""Checks of messages: the operator's about a submission, the driver's log, failed tasks' logs."""

from datetime import datetime, timedelta

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_from, diagnosis_of
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.messages import (
    DETAIL_LENGTH,
    diagnose_words,
    essence,
    last_line,
    last_reason,
    last_words,
)
from fink_k8s.core.stream.states import Phase, phase_of

LOOP_STARTS = 3
"""Fewer starts count as restarts, not as a loop."""
LOOP_INTERVAL = timedelta(minutes=5)
"""Drivers of a loop live shorter than this, and the last one was started more recently."""

_FAILED_STATES = {"SUBMISSION_FAILED", "FAILING", "FAILED", "PENDING_RERUN"}
# In the operator's own words.
_POD_GONE = "driver pod not found"
# The last messages of such a driver are consequences: invalid token, lost executors.
DELETED = diagnosis_of(
    Category.DRIVER_FAILED,
    "a person, an eviction or the loss of its node removed it",
    "deleted",
)
_SOURCES = {"kafka": Category.KAFKA_UNREACHABLE, "store": Category.STORE_UNREACHABLE}


def check_failure(evidence: Evidence) -> Diagnosis | None:
    """Find the cause of a failed submission or driver in the operator's message and the log."""
    if evidence.state not in _FAILED_STATES:
        return None
    by_operator = diagnose_words(evidence.message)
    if evidence.state == "SUBMISSION_FAILED" and by_operator:
        return by_operator
    # The operator knows a driver's exit code only; the driver knows the reason.
    return _diagnose_log(evidence.driver_log) or by_operator


def check_deleted(evidence: Evidence) -> Diagnosis | None:
    """Distinguish a deleted driver from one that ended: the operator finds no pod."""
    if evidence.state not in _FAILED_STATES or _POD_GONE not in evidence.message:
        return None
    return DELETED


def check_running(evidence: Evidence) -> Diagnosis | None:
    """Read the log of a running driver since its last batch; needs a full look."""
    if evidence.seen_at is None or not evidence.runs:
        return None
    return _diagnose_log(evidence.driver_log)


def check_run(evidence: Evidence) -> Diagnosis | None:
    """Read the messages of a run's failed tasks, written while the trouble was fresh.

    The operator deletes a failed driver together with its log.
    """
    for said in evidence.failures.values():
        if found := diagnosis_from(said) or diagnose_words(said):
            return found
    return None


def check_submission(evidence: Evidence) -> Diagnosis | None:
    """Report a submission that failed for an unknown cause."""
    if evidence.state != "SUBMISSION_FAILED":
        return None
    said = f"{evidence.message}\n{evidence.driver_log}"
    return diagnosis_of(Category.SUBMISSION_FAILED, essence(said, ("Exception", "Error")))


def check_crash_loop(evidence: Evidence) -> Diagnosis | None:
    """Report an application whose drivers repeatedly end soon after their start.

    It needs a full look. The operator records how many drivers it has started, and when it started
    the last one. The mean time between starts distinguishes a loop from a few restarts in a long
    night.
    """
    last, now = evidence.status.get("lastSubmissionAttemptTime"), evidence.seen_at
    made = (evidence.application or {}).get("metadata", {}).get("creationTimestamp")
    if now is None or not last or not made or evidence.starts < LOOP_STARTS:
        return None
    if phase_of(evidence.state) in {Phase.ENDED, Phase.PAUSED}:
        return None
    latest = datetime.fromisoformat(last)
    took = latest - datetime.fromisoformat(made)
    if took / (evidence.starts - 1) > LOOP_INTERVAL or now - latest > LOOP_INTERVAL:
        return None
    said = last_words(evidence.driver_log) if not evidence.runs else ""
    said = said or evidence.message or "the logs of the last drivers are gone"
    detail = f"{evidence.starts} starts within {took.total_seconds():.0f} s; {said}"
    return diagnosis_of(Category.CRASH_LOOP, detail)


def check_driver(evidence: Evidence) -> Diagnosis | None:
    """Report a driver that ended for an unknown cause."""
    if evidence.state not in {"FAILED", "FAILING", "PENDING_RERUN"}:
        return None
    log = evidence.driver_log
    last = last_words(log) or evidence.message or last_line(log)
    return diagnosis_of(Category.DRIVER_FAILED, last or f"application {evidence.state}")


def check_sources(evidence: Evidence) -> Diagnosis | None:
    """Report Kafka or the store if they do not answer Airflow either."""
    for source, category in _SOURCES.items():
        if why := evidence.unanswered.get(source):
            return diagnosis_of(category, why[:DETAIL_LENGTH], "airflow")
    return None


def _diagnose_log(log: str) -> Diagnosis | None:
    """Read a driver's log since its last batch: first the job's own reason, then all else.

    Earlier messages did not prevent the batch; a reason outweighs the warnings before it.
    """
    lines = log.splitlines()
    ends = [number for number, line in enumerate(lines) if '"stream2raw": "batch"' in line]
    recent = "\n".join(lines[ends[-1] + 1 :] if ends else lines)
    return diagnose_words(last_reason(recent)) or diagnose_words(recent)

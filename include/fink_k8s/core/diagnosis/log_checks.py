"""What programs say: the operator of a submission, a driver of its end, a task of its failure."""

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
"""Fewer drivers are a restart, not a loop."""
LOOP_INTERVAL = timedelta(minutes=5)
"""Drivers of a loop live shorter than this, and the last one was started more recently."""

_FAILED_STATES = {"SUBMISSION_FAILED", "FAILING", "FAILED", "PENDING_RERUN"}
# In the operator's own words.
_POD_GONE = "driver pod not found"
# What such a driver says last is but the echo: its token is no longer valid, its executors go.
DELETED = diagnosis_of(
    Category.DRIVER_FAILED,
    "a person, an eviction or the loss of its node removed it",
    "deleted",
)
_SOURCES = {"kafka": Category.KAFKA_UNREACHABLE, "store": Category.STORE_UNREACHABLE}


def check_failure(evidence: Evidence) -> Diagnosis | None:
    """Read what the operator says of a submission that failed, and the driver of its own end."""
    if evidence.state not in _FAILED_STATES:
        return None
    by_operator = diagnose_words(evidence.message)
    if evidence.state == "SUBMISSION_FAILED" and by_operator:
        return by_operator
    # Of a driver's end the operator knows the exit code; the driver knows why.
    return _diagnose_log(evidence.driver_log) or by_operator


def check_deleted(evidence: Evidence) -> Diagnosis | None:
    """Tell a driver that was taken away from one that ended: the operator finds no pod of it."""
    if evidence.state not in _FAILED_STATES or _POD_GONE not in evidence.message:
        return None
    return DELETED


def check_running(evidence: Evidence) -> Diagnosis | None:
    """Read what a running driver has said since its last batch ended; takes a full look."""
    if evidence.seen_at is None or not evidence.runs:
        return None
    return _diagnose_log(evidence.driver_log)


def check_run(evidence: Evidence) -> Diagnosis | None:
    """Read what the tasks of a run said when they failed, while the trouble was fresh.

    The operator deletes a driver that has failed, and its log with it.
    """
    for said in evidence.failures.values():
        if found := diagnosis_from(said) or diagnose_words(said):
            return found
    return None


def check_submission(evidence: Evidence) -> Diagnosis | None:
    """Name a submission that failed for a cause we have no name for."""
    if evidence.state != "SUBMISSION_FAILED":
        return None
    said = f"{evidence.message}\n{evidence.driver_log}"
    return diagnosis_of(Category.SUBMISSION_FAILED, essence(said, ("Exception", "Error")))


def check_crash_loop(evidence: Evidence) -> Diagnosis | None:
    """Name an application whose drivers end soon after their start, again and again.

    It takes a full look. The operator tells how many drivers it has started, and when the last one;
    the mean time between two of them tells a loop from a few restarts in a long night.
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
    said = said or evidence.message or "what the last ones said is no longer known"
    detail = f"{evidence.starts} starts within {took.total_seconds():.0f} s; {said}"
    return diagnosis_of(Category.CRASH_LOOP, detail)


def check_driver(evidence: Evidence) -> Diagnosis | None:
    """Name a driver that ended for a cause we have no name for."""
    if evidence.state not in {"FAILED", "FAILING", "PENDING_RERUN"}:
        return None
    log = evidence.driver_log
    last = last_words(log) or evidence.message or last_line(log)
    return diagnosis_of(Category.DRIVER_FAILED, last or f"application {evidence.state}")


def check_sources(evidence: Evidence) -> Diagnosis | None:
    """Name Kafka or the store where they do not answer Airflow either."""
    for source, category in _SOURCES.items():
        if why := evidence.unanswered.get(source):
            return diagnosis_of(category, why[:DETAIL_LENGTH], "airflow")
    return None


def _diagnose_log(log: str) -> Diagnosis | None:
    """Read a driver's log since its last batch: first the job's own reason, then all else.

    What was said before, the batch has outlived; and a warning is less than what came of it.
    """
    lines = log.splitlines()
    ends = [number for number, line in enumerate(lines) if '"stream2raw": "batch"' in line]
    recent = "\n".join(lines[ends[-1] + 1 :] if ends else lines)
    return diagnose_words(last_reason(recent)) or diagnose_words(recent)

"""What programs say: the operator of a submission, a driver of its end, a task of its failure."""

from datetime import datetime, timedelta

from fink_k8s.core.diagnosis.causes import Category, Diagnosis, diagnosis_from
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.messages import (
    DETAIL_LENGTH,
    KAFKA_REMEDY,
    STORE_REMEDY,
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
DELETED = Diagnosis(
    Category.DRIVER_FAILED,
    "the driver's pod was deleted",
    "a person, an eviction or the loss of its node took it away",
    "Nothing is lost: it is started again on its checkpoint, or by the next trigger",
)
_SOURCES = {
    "kafka": (Category.KAFKA_UNREACHABLE, "Airflow itself does not reach Kafka", KAFKA_REMEDY),
    "store": (Category.STORE_UNREACHABLE, "Airflow itself cannot read the store", STORE_REMEDY),
}


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
    return Diagnosis(
        Category.SUBMISSION_FAILED,
        "spark-submit failed in the operator",
        essence(f"{evidence.message}\n{evidence.driver_log}", ("Exception", "Error")),
        "Read the operator's log, mend what it names, and trigger again",
    )


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
    return Diagnosis(
        Category.CRASH_LOOP,
        "the driver ends soon after each start",
        f"{evidence.starts} starts within {took.total_seconds():.0f} s; "
        f"{said or evidence.message or 'the last ones said nothing that is still known'}",
        "Read the driver's log, also the previous one's, and mend what it names; end the stream "
        "with fink_stop until then: each start begins the same batch anew, nothing is lost",
    )


def check_driver(evidence: Evidence) -> Diagnosis | None:
    """Name a driver that ended for a cause we have no name for."""
    if evidence.state not in {"FAILED", "FAILING", "PENDING_RERUN"}:
        return None
    log = evidence.driver_log
    last = last_words(log) or evidence.message or last_line(log)
    return Diagnosis(
        Category.DRIVER_FAILED,
        "the driver ended with an error",
        last or f"application {evidence.state}",
        "Mend what it names; the driver's log has the whole story",
    )


def check_sources(evidence: Evidence) -> Diagnosis | None:
    """Name Kafka or the store where they do not answer Airflow either."""
    for source, (category, summary, resolution) in _SOURCES.items():
        if why := evidence.unanswered.get(source):
            return Diagnosis(category, summary, why[:DETAIL_LENGTH], resolution)
    return None


def _diagnose_log(log: str) -> Diagnosis | None:
    """Read a driver's log since its last batch: first the job's own reason, then all else.

    What was said before, the batch has outlived; and a warning is less than what came of it.
    """
    lines = log.splitlines()
    ends = [number for number, line in enumerate(lines) if '"stream2raw": "batch"' in line]
    recent = "\n".join(lines[ends[-1] + 1 :] if ends else lines)
    return diagnose_words(last_reason(recent)) or diagnose_words(recent)

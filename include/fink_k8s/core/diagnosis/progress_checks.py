"""Checks of offsets, counts and ages: a stream that is alive but makes no progress.

All checks need a full look; a quick one has no numbers, and they find nothing.
"""

from datetime import timedelta

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_of
from fink_k8s.core.diagnosis.evidence import Evidence

START_TIME = timedelta(seconds=120)
"""How long a driver may take from its start to its query."""
CORRUPT_SHARE = 0.05
"""Above this share of damaged alerts, the source or the schema is wrong, not the alert."""
ENOUGH_ALERTS = 50
"""With fewer alerts, a share means nothing."""


def check_offsets(evidence: Evidence) -> Diagnosis | None:
    """Report alerts that Kafka deleted before they were read."""
    topic, position = evidence.topic, evidence.position
    if topic is None or position is None:
        return None
    gone = {
        partition: (position.next[partition], start)
        for partition, start in topic.starts.items()
        if position.next.get(partition, start) < start
    }
    if not gone:
        return None
    parts = ", ".join(f"{p}: {read} to {start - 1}" for p, (read, start) in gone.items())
    detail = f"offsets of {topic.name} by partition: {parts}"
    return diagnosis_of(Category.OFFSETS_GONE, detail)


def check_pair(evidence: Evidence) -> Diagnosis | None:
    """Report an output without its checkpoint, or a checkpoint without its output."""
    position = evidence.position
    if position is None:
        return None
    if position.written >= 0 and position.planned < 0:
        detail = f"the output holds batches up to {position.written}, the checkpoint is empty"
    elif position.committed >= 0 and position.written < 0:
        detail = f"batch {position.committed} is committed, the output has no _spark_metadata"
    else:
        return None
    return diagnosis_of(Category.PAIR_BROKEN, detail)


def check_topic(evidence: Evidence) -> Diagnosis | None:
    """Report a topic that the broker does not know: a stream waits for it silently."""
    if not evidence.exists or evidence.topic is None or evidence.topic.ends:
        return None
    detail = "the stream waits for it and stores nothing"
    return diagnosis_of(Category.TOPIC_MISSING, detail, "awaited", topic=evidence.topic.name)


def check_query(evidence: Evidence) -> Diagnosis | None:
    """Report a driver that has run long enough but has no query."""
    started = evidence.driver_started
    if evidence.seen_at is None or not evidence.runs or started is None:
        return None
    age = evidence.seen_at - started
    if evidence.live_queries or age < START_TIME:
        return None
    return query_dead(age, answers=evidence.metrics is not None)


def query_dead(age: timedelta, *, answers: bool) -> Diagnosis:
    """Return the diagnosis of a driver that has run for `age` without a live query."""
    detail = "its metrics show no live query" if answers else "its metrics do not answer"
    return diagnosis_of(
        Category.QUERY_DEAD, f"{detail}, {age.total_seconds():.0f} s after its start"
    )


def check_stalled(evidence: Evidence) -> Diagnosis | None:
    """Report a live query whose batches do not end, although alerts have waited for long.

    A quiet topic is not a stall, nor are alerts that have just arrived: only alerts that have
    waited longer than the topic's `overdue` count, and only if no batch has ended for as long.
    """
    topic, position, now = evidence.topic, evidence.position, evidence.seen_at
    if now is None or topic is None or position is None or not evidence.runs:
        return None
    since = max(filter(None, (position.committed_at, evidence.driver_started)), default=None)
    if not evidence.overdue or since is None or now - since < topic.overdue:
        return None
    return diagnosis_of(
        Category.STALLED,
        f"{evidence.overdue} alerts have waited for more than {topic.overdue.total_seconds():.0f} "
        f"s, and batch {position.committed + 1} has not ended {(now - since).total_seconds():.0f} "
        "s after the previous one",
    )


def check_late(evidence: Evidence) -> Diagnosis | None:
    """Report a stream that commits batches, but leaves alerts waiting longer and longer.

    A stream that catches up after a late start or an outage reads faster than alerts arrive, and is
    well. The reads of an earlier driver do not count towards this one's pace.
    """
    topic, position, now = evidence.topic, evidence.position, evidence.seen_at
    started = evidence.driver_started
    if now is None or topic is None or position is None or started is None or not evidence.runs:
        return None
    pace = position.pace
    if not evidence.overdue or pace is None or now - started < topic.overdue:
        return None
    if not topic.arriving or pace > topic.arriving:
        return None
    return diagnosis_of(
        Category.LATE,
        f"{topic.arriving:.1f} alerts arrive per second, {pace:.1f} are stored; "
        f"{evidence.overdue} alerts have waited for more than "
        f"{topic.overdue.total_seconds():.0f} s, {evidence.lag} are waiting in total",
    )


def check_corrupt_alerts(evidence: Evidence) -> Diagnosis | None:
    """Report a source that sends undecodable alerts."""
    position = evidence.position
    if position is None or position.read < ENOUGH_ALERTS:
        return None
    share = position.set_aside / position.read
    if share <= CORRUPT_SHARE:
        return None
    detail = f"{position.set_aside} of {position.read} are set aside, none is lost"
    return diagnosis_of(Category.CORRUPT_ALERTS, detail, share=f"{share:.0%}")

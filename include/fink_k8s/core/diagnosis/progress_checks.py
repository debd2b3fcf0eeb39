"""What offsets, counts and ages show: a stream that lives, and yet does not do its work.

All of it takes a full look; a quick one has no numbers and finds nothing here.
"""

from datetime import timedelta

from fink_k8s.core.diagnosis.causes import Category, Diagnosis
from fink_k8s.core.diagnosis.evidence import Evidence

START_TIME = timedelta(seconds=120)
"""How long a driver may take from its start to its query."""
CORRUPT_SHARE = 0.05
"""The share of damaged alerts above which not the alert, but its source or the schema is wrong."""
ENOUGH_ALERTS = 50
"""Of fewer alerts no share is told."""


def check_offsets(evidence: Evidence) -> Diagnosis | None:
    """Name alerts that Kafka has deleted before they were read."""
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
    return Diagnosis(
        Category.OFFSETS_GONE,
        "alerts were deleted from Kafka before they were read",
        f"offsets of {topic.name} by partition: {parts}",
        OFFSETS_REMEDY,
    )


def check_paths_match(evidence: Evidence) -> Diagnosis | None:
    """Name an output and a checkpoint of which one has a past and the other has none."""
    position = evidence.position
    if position is None:
        return None
    if position.written >= 0 and position.planned < 0:
        detail = f"the output holds batches up to {position.written}, the checkpoint is empty"
    elif position.committed >= 0 and position.written < 0:
        detail = f"batch {position.committed} is committed, the output has no _spark_metadata"
    else:
        return None
    return Diagnosis(Category.PAIR_BROKEN, PAIR_SUMMARY, detail, PAIR_REMEDY)


def check_topic_exists(evidence: Evidence) -> Diagnosis | None:
    """Name a topic that the broker does not know: a stream waits for it without a word."""
    if not evidence.exists or evidence.topic is None or evidence.topic.ends:
        return None
    return Diagnosis(
        Category.TOPIC_MISSING,
        f"topic {evidence.topic.name} is not on the brokers",
        "the stream waits for it and stores nothing",
        TOPIC_REMEDY,
        severity="warning",
    )


def check_query(evidence: Evidence) -> Diagnosis | None:
    """Name a driver that has run long enough, and has no query."""
    started = evidence.driver_started
    if evidence.seen_at is None or not evidence.runs or started is None:
        return None
    age = evidence.seen_at - started
    if evidence.live_queries or age < START_TIME:
        return None
    return query_dead(age, answers=evidence.metrics is not None)


def query_dead(age: timedelta, *, answers: bool) -> Diagnosis:
    """Return the diagnosis of a driver that has run for `age` and has no live query."""
    detail = "its metrics speak of no live query" if answers else "its metrics do not answer"
    return Diagnosis(
        Category.QUERY_DEAD,
        "the driver runs, but its query is dead",
        f"{detail}, {age.total_seconds():.0f} s after its start",
        "Read the query's exception in the driver's log; end it with fink_stop, then trigger again",
    )


def check_progress(evidence: Evidence) -> Diagnosis | None:
    """Name a live query whose batches do not end, though alerts have waited for long.

    A quiet topic is no stall, nor are alerts that have just come: only what has waited longer than
    the topic's `overdue` counts, and only where no batch has ended for as long.
    """
    topic, position, now = evidence.topic, evidence.position, evidence.seen_at
    if now is None or topic is None or position is None or not evidence.runs:
        return None
    since = max(filter(None, (position.committed_at, evidence.driver_started)), default=None)
    if not evidence.overdue or since is None or now - since < topic.overdue:
        return None
    return Diagnosis(
        Category.STALLED,
        "the query lives, but no batch ends",
        f"{evidence.overdue} alerts have waited for more than {topic.overdue.total_seconds():.0f} "
        f"s, and batch {position.committed + 1} has not ended {(now - since).total_seconds():.0f} "
        "s after the one before",
        "Look at the executors and the batch in hand in the Spark UI; a stream that is stopped and "
        "triggered again writes the same batch once more, and loses nothing",
    )


def check_late(evidence: Evidence) -> Diagnosis | None:
    """Name a stream whose batches end, and yet alerts wait longer than they should, ever longer.

    A stream that catches up, after a late start or an outage, reads faster than alerts come, and
    is well. What an earlier driver has read says nothing of this one's pace.
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
    return Diagnosis(
        Category.LATE,
        "alerts come faster than they are stored",
        f"{topic.arriving:.1f} a second come, {pace:.1f} are stored; {evidence.overdue} alerts "
        f"have waited for more than {topic.overdue.total_seconds():.0f} s, {evidence.lag} in all "
        "wait",
        "Give the stream more: executors, their cores, alerts a batch in the form of fink_deploy; "
        "stop it with fink_stop first, nothing is lost",
    )


def check_share(evidence: Evidence) -> Diagnosis | None:
    """Name a source that sends garbage."""
    position = evidence.position
    if position is None or position.read < ENOUGH_ALERTS:
        return None
    share = position.set_aside / position.read
    if share <= CORRUPT_SHARE:
        return None
    return Diagnosis(
        Category.CORRUPT_ALERTS,
        f"{share:.0%} of the alerts cannot be decoded",
        f"{position.set_aside} of {position.read} are set aside, none is lost",
        "Compare the survey's schema with the topic's messages; raw_quarantine holds the bytes "
        "and the reason of each",
        severity="warning",
    )


OFFSETS_REMEDY = (
    "What is gone cannot be read any more: write the night again to a new prefix from what Kafka "
    "still holds, and lengthen the topic's retention"
)
TOPIC_REMEDY = "Check the topic's name and the night in the form, or wait until the survey makes it"
PAIR_SUMMARY = "output and checkpoint are not one pair"
PAIR_REMEDY = (
    "Bring back the two of one time, or read the night again to a new prefix; never delete one half"
)

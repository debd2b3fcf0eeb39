"""The words by which Kubernetes, the operator, Spark, Kafka and S3 name a cause; a table.

Each was read in a real log of the fault (tests/unit/core/diagnosis/evidence), but for those of AWS,
HDFS and of other Spark versions, which are from their sources.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_of

DETAIL_LENGTH = 400


class _Message(NamedTuple):
    category: Category
    words: tuple[str, ...]
    variant: str = ""


# The words of preflight are among them: what Airflow cannot reach, a stream cannot either.
# In this order: a message may hold the words of two, and the more specific one is right.
_MESSAGES = (
    _Message(Category.IMAGE_PULL, ("is not in the registry",), "not-built"),
    _Message(Category.QUOTA, ("exceeded quota",)),
    _Message(Category.WEBHOOK_AWAY, ("failed calling webhook", "webhook.sparkoperator")),
    _Message(
        Category.RIGHT_MISSING,
        ("error looking up service account", "is forbidden: User", "cannot create resource"),
    ),
    _Message(
        Category.TWO_WRITERS,
        ("CONCURRENT_STREAM_LOG_UPDATE", "Race while writing batch", "are concurrently using"),
    ),
    # Of stream2raw's refusal, which quotes what each of the two holds; 3 is its exit code.
    _Message(
        Category.PAIR_BROKEN,
        (
            "not one pair",
            "bring the checkpoint back",
            "_spark_metadata; bring",
            "ExitCode: 3,",
        ),
    ),
    _Message(Category.OUT_OF_MEMORY, ("Reason: OOMKilled",), "driver"),
    _Message(
        Category.OUT_OF_MEMORY, ("possible container OOM", "exited with exit code 137"), "executor"
    ),
    _Message(Category.OUT_OF_MEMORY, ("java.lang.OutOfMemoryError", "(JVM OOM)")),
    # Before the offsets: of a topic that is gone Spark also says that data may have been missed.
    _Message(
        Category.TOPIC_MISSING,
        (
            "UnknownTopicOrPartition",
            "does not host this topic-partition",
            "are gone. Some data may have been missed",
            "check the night, or create the topic",
        ),
    ),
    _Message(
        Category.OFFSETS_GONE,
        (
            "Cannot fetch offset",
            "Cannot fetch records in",
            "OffsetOutOfRangeException",
            "'s offset was changed from",
            "Some data may have been lost because",
            "KAFKA_DATA_LOSS",
        ),
    ),
    # It warns from the first second, while its query seems to live; its end comes after minutes.
    _Message(
        Category.KAFKA_UNREACHABLE,
        (
            "Broker may not be available",
            "Timed out waiting for a node assignment",
            "No resolvable bootstrap urls",
            "org.apache.kafka.common.errors.TimeoutException",
            "org.apache.kafka.common.errors.DisconnectException",
            "; check FINK_KAFKA_SERVERS",
        ),
    ),
    _Message(
        Category.STORE_DENIED,
        (
            "AccessDenied",
            "Access Denied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "XAdminUserNotFound",
            "Status Code: 403",
            "AccessControlException",
        ),
    ),
    _Message(
        Category.STORE_UNREACHABLE,
        (
            "NoSuchBucket",
            "UnknownStoreException",
            "AWSClientIOException",
            "SdkClientException",
            "Unable to execute HTTP request",
            "failed on connection exception",
            "; check FINK_STORE_ENDPOINT",
        ),
    ),
)


def diagnose_words(text: str) -> Diagnosis | None:
    """Return the cause that a message of Kubernetes, the operator or a driver names."""
    for message in _MESSAGES:
        if any(word in text for word in message.words):
            return diagnosis_of(message.category, essence(text, message.words), message.variant)
    return None


def essence(text: str, words: Sequence[str]) -> str:
    """Return the line that holds one of the words, shortened: the operator sends whole stacks."""
    for line in text.splitlines():
        if any(word in line for word in words):
            return (reason_of(line.strip()) or line.strip())[:DETAIL_LENGTH]
    return " ".join(text.split())[:DETAIL_LENGTH]


def last_words(log: str) -> str:
    """Return what a driver said of its own end: stream2raw's last reason, or an error's line.

    Empty where it said nothing of it, as one that was killed: its last line is about its work.
    """
    lines = [line.strip() for line in log.splitlines()]
    errors = [line for line in lines if "Error" in line or "Exception" in line]
    return (last_reason(log) or (errors or [""])[-1])[:DETAIL_LENGTH]


def last_line(log: str) -> str:
    """Return a log's last line, the bars of Spark's progress aside."""
    lines = [line.rpartition("\r")[2].strip() for line in log.splitlines()]
    return next((line for line in reversed(lines) if line and "[Stage " not in line), "")


def last_reason(log: str) -> str:
    """Return the `reason` that stream2raw gave last; empty where it gave none."""
    return next(filter(None, map(reason_of, reversed(log.splitlines()))), "")


def reason_of(line: str) -> str:
    """Return the `reason` of a line of stream2raw's; empty for any other line."""
    try:
        event = json.loads(line) if "reason" in line else {}
    except ValueError:
        return ""
    return str(event.get("reason", "")) if isinstance(event, dict) else ""

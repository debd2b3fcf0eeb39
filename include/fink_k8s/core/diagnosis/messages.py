"""The phrases by which Kubernetes, the operator, Spark, Kafka and S3 report a cause; a table.

Each phrase is from a real log of the fault (tests/unit/core/diagnosis/evidence), except those of
AWS, HDFS and other Spark versions, which are from their source code.
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


# Preflight's messages are included: what Airflow cannot reach, a stream cannot reach either.
# The order matters: if a message matches two rows, the more specific one comes first.
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
    # From stream2raw's refusal, which quotes the content of both; 3 is its exit code.
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
    # Before the offsets: for a deleted topic, Spark also logs that data may have been missed.
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
    # It warns from the first second, while its query seems alive; it ends after minutes.
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
    """Return the cause that a message of Kubernetes, the operator or a driver shows."""
    for message in _MESSAGES:
        if any(word in text for word in message.words):
            return diagnosis_of(message.category, essence(text, message.words), message.variant)
    return None


def essence(text: str, words: Sequence[str]) -> str:
    """Return the line with one of the words, shortened: the operator sends whole stack traces."""
    for line in text.splitlines():
        if any(word in line for word in words):
            return (reason_of(line.strip()) or line.strip())[:DETAIL_LENGTH]
    return " ".join(text.split())[:DETAIL_LENGTH]


def last_words(log: str) -> str:
    """Return a driver's own reason for its end: stream2raw's last `reason`, or an error line.

    Empty if the log has none, as for a killed driver, whose last line is about its work.
    """
    lines = [line.strip() for line in log.splitlines()]
    errors = [line for line in lines if "Error" in line or "Exception" in line]
    return (last_reason(log) or (errors or [""])[-1])[:DETAIL_LENGTH]


def last_line(log: str) -> str:
    """Return a log's last line, without Spark's progress bars."""
    lines = [line.rpartition("\r")[2].strip() for line in log.splitlines()]
    return next((line for line in reversed(lines) if line and "[Stage " not in line), "")


def last_reason(log: str) -> str:
    """Return the last `reason` that stream2raw logged; empty if there is none."""
    return next(filter(None, map(reason_of, reversed(log.splitlines()))), "")


def reason_of(line: str) -> str:
    """Return the `reason` in a log line of stream2raw; empty for any other line."""
    try:
        event = json.loads(line) if "reason" in line else {}
    except ValueError:
        return ""
    return str(event.get("reason", "")) if isinstance(event, dict) else ""

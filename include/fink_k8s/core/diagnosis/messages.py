"""The words by which Kubernetes, the operator, Spark, Kafka and S3 name a cause; a table.

Each was read in a real log of the fault (tests/unit/core/diagnosis/evidence), but for those of AWS,
HDFS and of other Spark versions, which are from their sources.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from fink_k8s.core.diagnosis.causes import Category, Diagnosis
from fink_k8s.core.diagnosis.pod_checks import (
    EXECUTOR_MEMORY,
    EXECUTOR_MEMORY_REMEDY,
    WRITERS_REMEDY,
)
from fink_k8s.core.diagnosis.progress_checks import (
    OFFSETS_REMEDY,
    PAIR_REMEDY,
    PAIR_SUMMARY,
    TOPIC_REMEDY,
)

DETAIL_LENGTH = 400
KAFKA_REMEDY = "Bring the brokers back, or mend FINK_KAFKA_SERVERS"
STORE_REMEDY = "Bring the store back, or mend FINK_STORE_ENDPOINT; then trigger again"


class _Message(NamedTuple):
    words: tuple[str, ...]
    category: Category
    summary: str
    resolution: str


# The words of preflight are among them: what Airflow cannot reach, a stream cannot either.
# In this order: a message may hold the words of two, and the more specific one is right.
_MESSAGES = (
    _Message(
        ("is not in the registry",),
        Category.IMAGE_PULL,
        "the image is not there",
        "Run fink_image, or give another image_tag",
    ),
    _Message(
        ("exceeded quota",),
        Category.QUOTA,
        "the namespace's quota is used up",
        "Ask for less, stop another stream, or raise the quota",
    ),
    _Message(
        ("failed calling webhook", "webhook.sparkoperator"),
        Category.WEBHOOK_AWAY,
        "the Spark Operator's webhook does not answer",
        "Bring the webhook's deployment back (helm), then trigger again",
    ),
    _Message(
        ("error looking up service account", "is forbidden: User", "cannot create resource"),
        Category.RIGHT_MISSING,
        "the driver's account is missing or lacks a right",
        "Run fink_rbac, then trigger again",
    ),
    _Message(
        ("CONCURRENT_STREAM_LOG_UPDATE", "Race while writing batch", "are concurrently using"),
        Category.TWO_WRITERS,
        "another driver writes the same night",
        WRITERS_REMEDY,
    ),
    # Of stream2raw's refusal, which quotes what each of the two holds; 3 is its exit code.
    _Message(
        (
            "not one pair",
            "bring the checkpoint back",
            "_spark_metadata; bring",
            "ExitCode: 3,",
        ),
        Category.PAIR_BROKEN,
        PAIR_SUMMARY,
        PAIR_REMEDY,
    ),
    _Message(
        ("Reason: OOMKilled",),
        Category.OUT_OF_MEMORY,
        "the driver ran out of memory",
        "Give the driver more memory in the form",
    ),
    _Message(
        ("possible container OOM", "exited with exit code 137"),
        Category.OUT_OF_MEMORY,
        EXECUTOR_MEMORY,
        EXECUTOR_MEMORY_REMEDY,
    ),
    _Message(
        ("java.lang.OutOfMemoryError", "(JVM OOM)"),
        Category.OUT_OF_MEMORY,
        "the heap of driver or executor is full",
        "Give driver or executors more memory in the form, or take fewer alerts a batch",
    ),
    # Before the offsets: of a topic that is gone Spark also says that data may have been missed.
    _Message(
        (
            "UnknownTopicOrPartition",
            "does not host this topic-partition",
            "are gone. Some data may have been missed",
            "check the night, or make the topic",
        ),
        Category.TOPIC_MISSING,
        "the topic is not on the brokers",
        TOPIC_REMEDY,
    ),
    _Message(
        (
            "Cannot fetch offset",
            "Cannot fetch records in",
            "OffsetOutOfRangeException",
            "'s offset was changed from",
            "Some data may have been lost because",
            "KAFKA_DATA_LOSS",
        ),
        Category.OFFSETS_GONE,
        "alerts were deleted from Kafka before they were read",
        OFFSETS_REMEDY,
    ),
    # It warns from the first second, while its query seems to live; its end comes after minutes.
    _Message(
        (
            "Broker may not be available",
            "Timed out waiting for a node assignment",
            "No resolvable bootstrap urls",
            "org.apache.kafka.common.errors.TimeoutException",
            "org.apache.kafka.common.errors.DisconnectException",
            "; check FINK_KAFKA_SERVERS",
        ),
        Category.KAFKA_UNREACHABLE,
        "Kafka cannot be reached",
        KAFKA_REMEDY,
    ),
    _Message(
        (
            "AccessDenied",
            "Access Denied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "XAdminUserNotFound",
            "Status Code: 403",
            "AccessControlException",
        ),
        Category.STORE_DENIED,
        "the store refuses the stream's keys",
        "Put keys that may read and write the bucket into the Secret that FINK_STORE_SECRET names",
    ),
    _Message(
        (
            "NoSuchBucket",
            "UnknownStoreException",
            "AWSClientIOException",
            "SdkClientException",
            "Unable to execute HTTP request",
            "failed on connection exception",
            "; check FINK_STORE_ENDPOINT",
        ),
        Category.STORE_UNREACHABLE,
        "the store cannot be reached",
        STORE_REMEDY,
    ),
)


def diagnose_words(text: str) -> Diagnosis | None:
    """Return the cause that a message of Kubernetes, the operator or a driver names."""
    for message in _MESSAGES:
        if any(word in text for word in message.words):
            detail = essence(text, message.words)
            return Diagnosis(message.category, message.summary, detail, message.resolution)
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

"""The known causes, one entry each: their wording and severity.

To add one: a category and its entry here, a check (a row of messages.py, or a function that
checks.py lists), recorded evidence, and a section of docs/troubleshooting.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fink_k8s.core.diagnosis.levels import HealthLevel, Severity


class Category(StrEnum):
    """Why a stream does not run. The values are stable names: people filter and link by them."""

    IMAGE_PULL = "image-pull"
    UNSCHEDULABLE = "unschedulable"
    QUOTA = "quota"
    OPERATOR_AWAY = "operator-away"
    WEBHOOK_AWAY = "webhook-away"
    RIGHT_MISSING = "right-missing"
    SUBMISSION_FAILED = "submission-failed"
    SECRET_MISSING = "secret-missing"  # noqa: S105 - a name
    NODE_LOST = "node-lost"
    OUT_OF_MEMORY = "out-of-memory"
    KAFKA_UNREACHABLE = "kafka-unreachable"
    TOPIC_MISSING = "topic-missing"
    OFFSETS_GONE = "offsets-gone"
    STORE_UNREACHABLE = "store-unreachable"
    STORE_DENIED = "store-denied"
    PAIR_BROKEN = "pair-broken"
    TWO_WRITERS = "two-writers"
    CRASH_LOOP = "crash-loop"
    DRIVER_FAILED = "driver-failed"
    QUERY_DEAD = "query-dead"
    STALLED = "stalled"
    LATE = "late"
    CORRUPT_ALERTS = "corrupt-alerts"

    @property
    def anchor(self) -> str:
        """Return the address of the category's section in the documentation."""
        return f"docs/troubleshooting.md#{self.value}"


@dataclass(frozen=True)
class Wording:
    """The wording of a cause in a line.

    `summary` may hold placeholders, such as `{pod}`; the check provides the values. It has
    no ": " and `remedy` no ". ": these separate the parts of a line (`causes.diagnosis_from`).
    """

    summary: str
    remedy: str = ""
    severity: Severity = Severity.ERROR


@dataclass(frozen=True)
class Entry(Wording):
    """Everything fixed about one category.

    `variants` are other wordings, by a name that the checks use; a variant without a remedy has
    the remedy of the entry.
    """

    level: HealthLevel = HealthLevel.TROUBLED
    variants: Mapping[str, Wording] = field(default_factory=dict)

    def wording(self, variant: str = "") -> Wording:
        """Return the wording of a variant, or the entry's own for an empty name.

        Raises:
            KeyError: the entry has no such variant.
        """
        chosen = self.variants[variant] if variant else self
        return chosen if chosen.remedy else replace(chosen, remedy=self.remedy)

    @property
    def wordings(self) -> list[Wording]:
        """Return the entry's own wording, then its variants."""
        return [self.wording(variant) for variant in ("", *self.variants)]


CATALOGUE: Mapping[Category, Entry] = {
    Category.IMAGE_PULL: Entry(
        "image {image} cannot be pulled",
        "Check the tag, the registry and FINK_IMAGE_PULL_SECRET, or run fink_image",
        variants={
            "not-built": Wording(
                "the image is not in the registry", "Run fink_image, or choose another image_tag"
            )
        },
    ),
    Category.UNSCHEDULABLE: Entry(
        "no node has room for {pod}",
        "Ask for less CPU and memory in the form, stop another stream, or add a node",
        variants={
            "claim": Wording(
                "the volume claim of {pod} is missing or not bound",
                "Create the claim that FINK_STORE_PREFIX names (create_claim), or find out with "
                "kubectl describe pvc why it is not bound",
            )
        },
    ),
    Category.QUOTA: Entry(
        "the namespace's quota is used up",
        "Ask for less CPU and memory in the form, stop another stream, or raise the quota",
    ),
    Category.OPERATOR_AWAY: Entry(
        "the Spark Operator does not process the application",
        "Restore the operator's controller (helm); the application then starts by itself",
    ),
    Category.WEBHOOK_AWAY: Entry(
        "the Spark Operator's webhook does not answer",
        "Restore the webhook's deployment (helm), then trigger again",
    ),
    Category.RIGHT_MISSING: Entry(
        "the driver's service account is missing or lacks a right",
        "Run fink_rbac (do not skip the stage rbac), then trigger again",
        variants={
            "airflow": Wording(
                "Airflow's account lacks a right that spark-submit needs",
                "Apply include/kubernetes/airflow-spark-submit.yaml, then trigger again",
            )
        },
    ),
    Category.SUBMISSION_FAILED: Entry(
        "spark-submit failed in the operator",
        "Read the operator's log, fix what it names, and trigger again",
        variants={
            "worker": Wording(
                "spark-submit failed on the worker", "Fix what the line names, and trigger again"
            )
        },
    ),
    Category.SECRET_MISSING: Entry(
        "a Secret or ConfigMap of {pod} is missing",
        "Create the Secret that FINK_STORE_SECRET names in the streams' namespace, with the keys "
        "access-key and secret-key",
    ),
    Category.NODE_LOST: Entry(
        "node {node} of {pod} is lost",
        "Bring the node back, or delete it once it is certainly off; until then do not start "
        "another driver by hand, because the lost one may still be writing",
    ),
    Category.OUT_OF_MEMORY: Entry(
        "the heap of the driver or of an executor is full",
        "Give the driver or the executors more memory in the form, or take fewer alerts per batch",
        variants={
            "driver": Wording(
                "the driver ran out of memory", "Give the driver more memory in the form"
            ),
            "executor": Wording(
                "an executor ran out of memory",
                "Give the executors more memory in the form, or take fewer alerts per batch",
            ),
        },
    ),
    Category.KAFKA_UNREACHABLE: Entry(
        "Kafka cannot be reached",
        "Bring the brokers back, or correct FINK_KAFKA_SERVERS; the stream continues from its "
        "checkpoint",
        variants={"airflow": Wording("Airflow itself cannot reach Kafka")},
    ),
    Category.TOPIC_MISSING: Entry(
        "the topic is not on the brokers",
        "Check the topic's name and the night in the form, or wait until the survey creates it",
        # The stream waits, and goes on by itself once the topic is there.
        variants={
            "awaited": Wording("topic {topic} is not on the brokers", severity=Severity.WARNING)
        },
    ),
    Category.OFFSETS_GONE: Entry(
        "alerts were deleted from Kafka before they were read",
        "Deleted alerts cannot be read any more; write the night again to a new prefix from what "
        "Kafka still holds, and lengthen the topic's retention",
    ),
    Category.STORE_UNREACHABLE: Entry(
        "the store cannot be reached",
        "Bring the store back, or correct FINK_STORE_ENDPOINT; then trigger again",
        variants={"airflow": Wording("Airflow itself cannot read the store")},
    ),
    Category.STORE_DENIED: Entry(
        "the store rejects the stream's keys",
        "Put keys that may read and write the bucket into the Secret that FINK_STORE_SECRET names, "
        "and trigger again",
    ),
    Category.PAIR_BROKEN: Entry(
        "the output and the checkpoint do not belong together",
        "Restore both from the same moment, or read the night again to a new prefix; never delete "
        "only one of them",
    ),
    Category.TWO_WRITERS: Entry(
        "two drivers write the same night",
        "Stop the driver that no trigger started, then check the night for duplicated batches",
    ),
    Category.CRASH_LOOP: Entry(
        "the driver ends soon after each start",
        "Fix what the driver's log names, or the log of the driver before it; until then end the "
        "stream with fink_stop (each start repeats the same batch, so nothing is lost)",
    ),
    Category.DRIVER_FAILED: Entry(
        "the driver ended with an error",
        "Fix what the line names; the driver's log has the details",
        variants={
            "deleted": Wording(
                "the driver's pod was deleted",
                "Nothing is lost: the driver is started again from its checkpoint, or by the next "
                "trigger",
            )
        },
    ),
    Category.QUERY_DEAD: Entry(
        "the driver runs, but its query is dead",
        "Read the query's exception in the driver's log; end the stream with fink_stop, then "
        "trigger again",
        level=HealthLevel.DEAD,
    ),
    Category.STALLED: Entry(
        "the query is alive, but no batch ends",
        "Look at the executors and the current batch in the Spark UI; a stream that is stopped and "
        "triggered again repeats the batch, and loses nothing",
        level=HealthLevel.STALLED,
    ),
    Category.LATE: Entry(
        "alerts arrive faster than they are stored",
        "Trigger the night DAG for the same night with more executors, cores or alerts per batch, "
        "and with if_differs set to upgrade; if no night DAG watches the stream, use fink_stop, "
        "then fink_deploy (nothing is lost)",
        level=HealthLevel.LATE,
    ),
    Category.CORRUPT_ALERTS: Entry(
        "{share} of the alerts cannot be decoded",
        "Compare the survey's schema with the topic's messages; raw_quarantine holds each message "
        "and the reason",
        severity=Severity.WARNING,
    ),
}

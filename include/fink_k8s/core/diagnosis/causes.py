"""The causes that can be named, and the line that names one."""

import re
from dataclasses import dataclass, field
from enum import StrEnum


class Category(StrEnum):
    """Why a stream does not run; each name is a section of docs/troubleshooting.md."""

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


@dataclass(frozen=True)
class Diagnosis:
    """A cause in one line, what it rests on, and what to do."""

    category: Category
    summary: str
    detail: str
    resolution: str
    severity: str = field(default="error")

    def __str__(self) -> str:
        """Return cause, detail and remedy in one line."""
        text = f"[{self.category}] {self.summary}: {self.detail.rstrip('. ')}. {self.resolution}"
        return " ".join(text.split())


_LINE = re.compile(r"\[(?P<category>[a-z-]+)\] (?P<summary>[^:]+): (?P<rest>.+)", re.DOTALL)


def diagnosis_from(line: str) -> Diagnosis | None:
    """Return the diagnosis that a task's last line holds, or None where it names no category."""
    match = _LINE.search(line)
    if match is None or match["category"] not in set(Category):
        return None
    detail, _, resolution = match["rest"].rpartition(". ")
    return Diagnosis(Category(match["category"]), match["summary"], detail, resolution)

"""Evidence of faults that nobody has recorded yet, made of the recording of the nearest real one.

An entry goes when tests/unit/core/evidence has the real thing (see tests/recording.py).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from fink_k8s.core.diagnosis import Evidence
from tests.recording import FOLDER, recorded


def _late() -> Evidence:
    """Return the stalled stream as if its batches ended, each with fewer alerts than come."""
    seen = recorded("stalled")
    due = {**seen.topic.due, 1: seen.topic.due[1] - 40}
    position = replace(
        seen.position,
        planned=31,
        committed=30,
        written=30,
        committed_at=seen.seen_at - timedelta(seconds=2),
        earlier_at=seen.seen_at - timedelta(seconds=32),
        earlier_read=seen.position.read - 60,
    )
    return replace(seen, position=position, topic=replace(seen.topic, due=due))


def _crash_loop() -> Evidence:
    """Return the failed driver as if it were the fourth, whose last words are no known ones."""
    seen = recorded("driver-failed")
    made = datetime.fromisoformat(seen.application["metadata"]["creationTimestamp"])
    last = f"{made + timedelta(seconds=40):%Y-%m-%dT%H:%M:%SZ}"
    attempts = {"executionAttempts": 4, "submissionAttempts": 4, "lastSubmissionAttemptTime": last}
    status = {**seen.application["status"], **attempts}
    return replace(seen, application={**seen.application, "status": status})


DERIVED: dict[str, Callable[[], Evidence]] = {"late": _late, "crash-loop": _crash_loop}
NAMES = sorted({*(path.stem for path in FOLDER.glob("*.json")), *DERIVED})


def evidence_of(name: str) -> Evidence:
    """Return the recorded evidence of a fault, or what stands for it."""
    return DERIVED[name]() if name in DERIVED else recorded(name)

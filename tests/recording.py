"""Evidence of real faults: recorded on the testbed, kept as JSON, read by the tests of the core.

The tests that make a fault for real record it where RECORD_EVIDENCE is set:
`RECORD_EVIDENCE=1 python -m testbed.run pytest tests/integration/test_causes.py -k quota`.
"""

import json
import os
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.positions import Position, Topic

FOLDER = Path(__file__).parent / "unit/core/diagnosis/evidence"
LOG_LINES, LINE_LENGTH, EVENTS = 60, 600, 12


def record(name: str, evidence: Evidence) -> None:
    """Keep `evidence` under `name`, if it is to be recorded."""
    if os.environ.get("RECORD_EVIDENCE"):
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps(asdict(_trimmed(evidence)), indent=1, default=_plain)
        (FOLDER / f"{name}.json").write_text(text + "\n")


def recorded(name: str) -> Evidence:
    """Return the evidence that was kept under `name`."""
    kept: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    position, topic = kept.pop("position"), kept.pop("topic")
    return Evidence(
        **{**kept, "seen_at": datetime.fromisoformat(kept["seen_at"])},
        position=position and _position_from(position),
        topic=topic and _topic_from(topic),
    )


def _position_from(kept: dict[str, Any]) -> Position:
    moments = {
        name: datetime.fromisoformat(kept[name])
        for name in ("committed_at", "earlier_at")
        if kept.get(name)
    }
    return Position(**{
        **kept,
        **moments,
        "next": _by_partition(kept["next"]),
    })  # fmt: skip


def _topic_from(kept: dict[str, Any]) -> Topic:
    offsets = {name: _by_partition(kept[name]) for name in ("starts", "ends", "due")}
    return Topic(kept["name"], **offsets, overdue=timedelta(seconds=kept["overdue"]))


def _by_partition(kept: dict[str, int]) -> dict[int, int]:
    return {int(partition): offset for partition, offset in kept.items()}


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _trimmed(evidence: Evidence) -> Evidence:
    """Leave out what no check reads, for the files to be small."""
    gauges = (evidence.metrics or {}).get("gauges", {})
    live = {name: value for name, value in gauges.items() if ".spark.streaming." in name}
    return replace(
        evidence,
        application=_application(evidence.application),
        pods=[_pod(pod) for pod in evidence.pods],
        metrics=None if evidence.metrics is None else {"gauges": live},
        events=[_event(event) for event in list(evidence.events)[-EVENTS:]],
        driver_log=_end_of(evidence.driver_log),
        logs={},
    )


def _application(seen: Any) -> Any:
    if seen is None:
        return None
    kept = {**seen, "metadata": _metadata(seen["metadata"])}
    return {**kept, "spec": {"arguments": seen["spec"].get("arguments")}}


def _pod(seen: Any) -> Any:
    containers = [
        {key: one[key] for key in ("name", "image", "args", "resources") if key in one}
        for one in seen["spec"]["containers"]
    ]
    spec = {"nodeName": seen["spec"].get("nodeName"), "containers": containers}
    return {"metadata": _metadata(seen["metadata"]), "spec": spec, "status": seen["status"]}


def _event(seen: Any) -> Any:
    kept = ("type", "reason", "involvedObject", "lastTimestamp", "eventTime", "count")
    event = {key: seen[key] for key in kept if seen.get(key) is not None}
    message = str(seen.get("message", ""))[:LINE_LENGTH]
    return {**event, "message": message, "metadata": _metadata(seen["metadata"])}


def _metadata(seen: Any) -> Any:
    kept = ("name", "namespace", "uid", "labels", "creationTimestamp", "deletionTimestamp")
    return {key: seen[key] for key in kept if key in seen}


def _end_of(log: str) -> str:
    return "\n".join(line[:LINE_LENGTH] for line in log.splitlines()[-LOG_LINES:])

"""A diagnosis and its evidence, as a report to read and as a bundle to save; pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fink_k8s.core.diagnosis.causes import Diagnosis
from fink_k8s.core.diagnosis.evidence import Evidence

NOTHING_WRONG = "no problem found"
_EVENTS, _LAST_LINES = 40, 25


def line_of(stream: str, evidence: Evidence, found: Diagnosis | None) -> str:
    """Return the one line that matters."""
    if found:
        return f"{stream}: {found}"
    for task, said in evidence.failures.items():
        return f"{stream}: {task} failed" + (f": {said}" if said else "; see its log")
    if evidence.unanswered:
        missing = ", ".join(sorted(evidence.unanswered))
        return f"{stream}: no cause was found, but these sources could not be read ({missing})"
    if not evidence.exists:
        return f"{stream}: the stream does not exist"
    return f"{stream}: {NOTHING_WRONG}"


def bundle_of(stream: str, evidence: Evidence, found: Diagnosis | None) -> dict[str, str]:
    """Return the files of a bundle, by name: the report, and all evidence unchanged."""
    facts = {
        "diagnosis": asdict(found) if found else None,
        "seen_at": evidence.seen_at,
        "position": asdict(evidence.position) if evidence.position else None,
        "topic": asdict(evidence.topic) if evidence.topic else None,
        "lag": evidence.lag,
        "failures": dict(evidence.failures),
        "unanswered": dict(evidence.unanswered),
    }
    files = {
        "report.md": diagnosis_report_of(stream, evidence, found),
        "facts.json": _json(facts),
        "application.json": _json(evidence.application),
        "pods.json": _json(evidence.pods),
        "events.json": _json(evidence.events),
        "metrics.json": _json(evidence.metrics),
    }
    return files | {f"logs/{pod}.log": text for pod, text in evidence.logs.items()}


def diagnosis_report_of(stream: str, evidence: Evidence, found: Diagnosis | None) -> str:
    """Return the report, in Markdown."""
    lines = [f"# {stream}", "", line_of(stream, evidence, found), ""]
    if found:
        lines += [f"- Remedy: {found.remedy} ({found.category.anchor})"]
    for task, said in evidence.failures.items():
        lines.append(f"- {task} failed: {said or 'see its log'}")
    for source, why in sorted(evidence.unanswered.items()):
        lines.append(f"- NOT read: {source}: {why}")
    lines += ["", "| what | seen |", "|---|---|"]
    lines += [f"| {what} | {value} |" for what, value in facts_of(evidence).items()]
    if evidence.events:
        lines += ["", "## Events", ""]
        lines += [f"    {line}" for line in list(timeline(evidence))[-_EVENTS:]]
    if evidence.driver_log.strip():
        lines += ["", "## The driver's last lines", ""]
        last = [line for line in evidence.driver_log.splitlines() if line.strip()]
        lines += [f"    {line[:400]}" for line in last[-_LAST_LINES:]]
    return "\n".join(lines) + "\n"


def facts_of(evidence: Evidence) -> dict[str, str]:
    """Return a row for each fact; the value is `unknown` where nothing was seen."""
    executors = [pod for pod in evidence.pods if pod not in evidence.drivers]
    phases = ", ".join(str(pod["status"].get("phase")) for pod in executors) or "none"
    position, topic = evidence.position, evidence.topic
    facts = {
        "application": (evidence.state or "new") if evidence.application else "missing",
        "driver": evidence.driver_phase + _since(evidence, evidence.driver_started),
        "executors": phases,
        "live queries": str(evidence.live_queries) if evidence.metrics else "unknown",
        "batches": "unknown",
        "alerts read": "unknown",
        "topic": "unknown",
        "lag": "unknown" if evidence.lag is None else f"{evidence.lag} alerts",
    }
    if position:
        ended = _since(evidence, position.committed_at)
        facts["batches"] = (
            f"planned {_batch(position.planned)}, committed {_batch(position.committed)}{ended}, "
            f"in the output's manifest {_batch(position.written)}"
        )
        facts["alerts read"] = f"{position.read}, set aside {position.set_aside}"
    if topic:
        held = sum(topic.ends.values()) - sum(topic.starts.values())
        facts["topic"] = (
            f"{topic.name}: {len(topic.ends)} partitions, {held} alerts" if topic.ends
            else f"{topic.name}: not on the brokers"
        )  # fmt: skip
    return facts


def timeline(evidence: Evidence) -> Iterator[str]:
    """Yield the events of the stream's objects, oldest first, a line each."""
    for event in sorted(evidence.events, key=_moment):
        about = event.get("involvedObject", {})
        count = int(event.get("count") or 1)
        times = f" ({count} times)" if count > 1 else ""
        message = " ".join(str(event.get("message", "")).split())[:300]
        head = f"{_moment(event)[:19]} {event.get('type')} {event.get('reason')}"
        yield f"{head} {about.get('kind')}/{about.get('name')}: {message}{times}"


def _moment(event: Mapping[str, Any]) -> str:
    moment = event.get("lastTimestamp") or event.get("eventTime")
    return str(moment or event["metadata"].get("creationTimestamp", ""))


def _since(evidence: Evidence, moment: datetime | None) -> str:
    if moment is None or evidence.seen_at is None:
        return ""
    return f" ({(evidence.seen_at - moment).total_seconds():.0f} s ago)"


def _batch(number: int) -> str:
    return "none" if number < 0 else str(number)


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"

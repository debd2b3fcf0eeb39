"""All that can be known of a stream that is in trouble, from whoever still answers.

No source's failure is an error here: it becomes a note in the evidence, and the others are asked
all the same. Sizes are bounded, and secrets are hidden before anything is read or kept.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.kafka.broker import topic_offsets
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.adapters.stream.streams import APPLICATION_KIND
from fink_k8s.core.base.errors import FinkError, Unavailable
from fink_k8s.core.base.redaction import redact, redacted
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.positions import Position, Topic
from fink_k8s.core.kafka.topics import topic_of_pattern
from fink_k8s.core.stream.stream_names import driver_pod_name, parse_stream_name, pod_selector

LOG_LINES, LOG_BYTES = 400, 64_000
MOST_PODS = 6
MOST_EVENTS = 200
OVERDUE = timedelta(minutes=5)

SourceAnswer = TypeVar("SourceAnswer")


def gather(
    cluster: Cluster,
    settings: Settings,
    stream: str,
    open_store: Callable[[], Store],
    *,
    failures: Mapping[str, str] | None = None,
    secrets: Iterable[str] = (),
    overdue: timedelta = OVERDUE,
    seconds: float = math.inf,
) -> Evidence:
    """Return the full look at `stream`: cluster, logs, checkpoint, Kafka.

    `failures` is what the tasks of a run said; `secrets` are values to hide wherever they are.
    `overdue` is how long an alert may wait until its batch has to have ended. Nothing is raised
    for what does not answer; it is in `unanswered`, by source. After `seconds` no further source is
    asked; a single one may take as long as its client has patience.
    """
    seen = _Gathering(cluster, settings, stream, time.monotonic() + seconds)
    evidence = seen.at_cluster(Evidence(None, seen_at=datetime.now(UTC), failures=failures or {}))
    evidence = seen.at_data(evidence, open_store, overdue)
    return _without_secrets(replace(evidence, unanswered=seen.unanswered), tuple(secrets))


def with_data(
    cluster: Cluster,
    settings: Settings,
    stream: str,
    evidence: Evidence,
    open_store: Callable[[], Store],
) -> Evidence:
    """Return a look with what Kafka and the store know of the night added: position and topic."""
    look = _Gathering(cluster, settings, stream, math.inf)
    evidence = look.at_data(evidence, open_store, OVERDUE)
    return replace(evidence, unanswered=look.unanswered)


class _Gathering:
    """One look, and who did not answer."""

    def __init__(self, cluster: Cluster, settings: Settings, stream: str, deadline: float) -> None:
        self._deadline = deadline
        self._cluster = cluster
        self._settings = settings
        self._namespace = settings.namespace
        self._stream = stream
        self.unanswered: dict[str, str] = {}

    def at_cluster(self, evidence: Evidence) -> Evidence:
        """Add what the API server knows."""
        ask, cluster, namespace = self._ask, self._cluster, self._namespace
        application = ask(
            "application", lambda: cluster.find(APPLICATION_KIND, self._stream, namespace), None
        )
        if "application" in self.unanswered and "does not answer" in self.unanswered["application"]:
            # Each further question would wait as long for the same.
            return evidence
        selector = pod_selector(self._stream)
        none: list[Any] = []
        pods = ask("pods", lambda: cluster.pods(namespace, selector), none)
        evidence = replace(evidence, application=application, pods=pods)
        events = ask("events", lambda: cluster.events(namespace), none)
        evidence = replace(evidence, events=_events_of(self._stream, pods, events))
        driver = evidence.driver["metadata"]["name"] if evidence.driver else ""
        if evidence.driver_phase == "Running":
            metrics = ask("metrics", lambda: cluster.driver_metrics(namespace, driver), None)
            evidence = replace(evidence, metrics=metrics)
        logs = self._logs(pods, driver)
        return replace(evidence, logs=logs, driver_log=logs.get(driver, ""))

    def at_data(
        self, evidence: Evidence, open_store: Callable[[], Store], overdue: timedelta
    ) -> Evidence:
        """Add what Kafka and the store know of the night."""
        survey, night = parse_stream_name(self._stream)
        topic = _topic_of(evidence.flags, survey, night)
        if not topic:
            self.unanswered["kafka topic"] = "no application and no driver name the topic"
        position: Position | None = self._ask(
            "store", lambda: open_store().position(night, topic), None
        )
        return replace(evidence, position=position, topic=self._topic(evidence, topic, overdue))

    def _topic(self, evidence: Evidence, topic: str, overdue: timedelta) -> Topic | None:
        servers = self._settings.kafka_servers
        theirs = evidence.flags.get("-servers", servers)
        if theirs != servers:
            # An application may name any host; Airflow connects to those it is configured with.
            self.unanswered["kafka offsets"] = (
                f"the stream reads from {theirs}, its survey's brokers are {servers or 'not set'}"
            )
            return None
        if not topic or not servers:
            return None
        return self._ask("kafka", lambda: topic_offsets(servers, topic, overdue), None)

    def _logs(self, pods: list[Any], driver: str) -> dict[str, str]:
        """Return the ends of the pods' logs, the driver's first, earlier containers' too."""
        logs = {}
        first = sorted(pods, key=lambda pod: pod["metadata"]["name"] != driver)
        if len(first) > MOST_PODS:
            self.unanswered["logs"] = f"of {MOST_PODS} of {len(first)} pods only"
        for pod in first[:MOST_PODS]:
            name = pod["metadata"]["name"]
            statuses = pod.get("status", {}).get("containerStatuses") or []
            if any(set(status.get("state", {})) & {"running", "terminated"} for status in statuses):
                logs[name] = self._log(name)
            if any(status.get("restartCount") for status in statuses):
                logs[f"{name}.previous"] = self._log(name, previous=True)
        return {name: text for name, text in logs.items() if text}

    def _log(self, pod: str, *, previous: bool = False) -> str:
        source = f"log of {pod}{' (previous)' if previous else ''}"
        text = self._ask(
            source,
            lambda: self._cluster.pod_log(self._namespace, pod, LOG_LINES, previous=previous),
            "",
        )
        # Spark draws its progress with carriage returns, line upon line.
        lines = (line.rpartition("\r")[2] for line in text[-LOG_BYTES:].splitlines())
        return "\n".join(line for line in lines if line.strip() and "[Stage " not in line)

    def _ask(
        self, source: str, question: Callable[[], SourceAnswer], otherwise: SourceAnswer
    ) -> SourceAnswer:
        if time.monotonic() > self._deadline:
            self.unanswered[f"{source} (out of time)"] = "those before it took too long"
            return otherwise
        try:
            return question()
        except Exception as error:
            # A diagnosis must come of whatever is broken, also of what nobody thought of. What is
            # not configured here, or not ours to see, says nothing about the system itself.
            if isinstance(error, FinkError) and not isinstance(error, Unavailable):
                source = f"{source} (out of sight)"
            self.unanswered[source] = " ".join(f"{error}".split())[:300] or type(error).__name__
            return otherwise


def _events_of(stream: str, pods: list[Any], events: list[Any]) -> list[Any]:
    """Return the events of the application and of its pods, those that are gone among them."""
    names = {stream, driver_pod_name(stream)}
    names |= {pod["metadata"]["name"] for pod in pods}
    # The executors of one driver share what stands before their number.
    heads = tuple({re.sub(r"-exec-[0-9]+$", "-exec-", name) for name in names if "-exec-" in name})
    found = [
        event
        for event in events
        if event["involvedObject"].get("name", "") in names
        or (heads and event["involvedObject"].get("name", "").startswith(heads))
    ]
    return found[-MOST_EVENTS:]


def _topic_of(flags: Mapping[str, str], survey: str, night: str) -> str:
    if "-topic" in flags:
        return topic_of_pattern(flags["-topic"])
    try:
        return survey_of(survey).topic_of(night)
    except ValueError:
        return ""


def _without_secrets(evidence: Evidence, secrets: tuple[str, ...]) -> Evidence:
    return replace(
        evidence,
        application=redacted(evidence.application, secrets),
        pods=redacted(evidence.pods, secrets),
        events=redacted(evidence.events, secrets),
        driver_log=redact(evidence.driver_log, secrets),
        logs={name: redact(text, secrets) for name, text in evidence.logs.items()},
        failures={task: redact(said, secrets) for task, said in evidence.failures.items()},
        unanswered={source: redact(why, secrets) for source, why in evidence.unanswered.items()},
    )

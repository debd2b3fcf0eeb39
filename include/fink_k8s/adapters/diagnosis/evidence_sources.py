"""All evidence about a stream in trouble, from every source that still answers.

A source that fails is not an error here: it is noted in the evidence, and the other sources are
still asked. Sizes are bounded, and secrets are hidden before anything is evaluated or stored.
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

    `failures` holds the messages of a run's failed tasks; `secrets` are values to hide everywhere.
    `overdue` is how long an alert may wait for its batch to end. A source that does not answer
    raises nothing; it is in `unanswered`, by source. After `seconds`, no further source is asked; a
    single source may take as long as its client's timeout.
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
    """Return the evidence with the night's position and topic added, from the store and Kafka."""
    look = _Gathering(cluster, settings, stream, math.inf)
    evidence = look.at_data(evidence, open_store, OVERDUE)
    return replace(evidence, unanswered=look.unanswered)


class _Gathering:
    """One look, and the sources that did not answer."""

    def __init__(self, cluster: Cluster, settings: Settings, stream: str, deadline: float) -> None:
        self._deadline = deadline
        self._cluster = cluster
        self._settings = settings
        self._namespace = settings.namespace
        self._stream = stream
        self.unanswered: dict[str, str] = {}

    def at_cluster(self, evidence: Evidence) -> Evidence:
        """Add the evidence from the API server."""
        ask, cluster, namespace = self._ask, self._cluster, self._namespace
        application = ask(
            "application", lambda: cluster.find(APPLICATION_KIND, self._stream, namespace), None
        )
        if "application" in self.unanswered and "does not answer" in self.unanswered["application"]:
            # Every further request would time out in the same way.
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
        """Add the night's evidence from Kafka and the store."""
        survey, night = parse_stream_name(self._stream)
        topic = _topic_of(evidence.flags, survey, night)
        if not topic:
            self.unanswered["kafka topic"] = "neither an application nor a driver names the topic"
        position: Position | None = self._ask(
            "store", lambda: open_store().position(night, topic), None
        )
        return replace(evidence, position=position, topic=self._topic(evidence, topic, overdue))

    def _topic(self, evidence: Evidence, topic: str, overdue: timedelta) -> Topic | None:
        servers = self._settings.kafka_servers
        theirs = evidence.flags.get("-servers", servers)
        if theirs != servers:
            # An application may name any host; Airflow connects only to the configured ones.
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
            self.unanswered["logs"] = f"only {MOST_PODS} of {len(first)} pods were read"
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
        # Spark draws its progress bars with carriage returns.
        lines = (line.rpartition("\r")[2] for line in text[-LOG_BYTES:].splitlines())
        return "\n".join(line for line in lines if line.strip() and "[Stage " not in line)

    def _ask(
        self, source: str, question: Callable[[], SourceAnswer], otherwise: SourceAnswer
    ) -> SourceAnswer:
        if time.monotonic() > self._deadline:
            self.unanswered[f"{source} (out of time)"] = (
                "skipped, because earlier sources took too long"
            )
            return otherwise
        try:
            return question()
        except Exception as error:
            # A diagnosis must survive any failure, even an unforeseen one. A source that is not
            # configured, or that Airflow may not read, says nothing about the system itself.
            if isinstance(error, FinkError) and not isinstance(error, Unavailable):
                source = f"{source} (out of sight)"
            self.unanswered[source] = " ".join(f"{error}".split())[:300] or type(error).__name__
            return otherwise


def _events_of(stream: str, pods: list[Any], events: list[Any]) -> list[Any]:
    """Return the events of the application and of its pods, including deleted ones."""
    names = {stream, driver_pod_name(stream)}
    names |= {pod["metadata"]["name"] for pod in pods}
    # The names of one driver's executors differ only in their number.
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

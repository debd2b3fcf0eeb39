"""What is known about one stream at one moment: plain values from Kubernetes, Kafka, the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.diagnosis.positions import Position, Topic
from fink_k8s.core.stream.job_flags import flags_in, prefix_in
from fink_k8s.core.stream.states import Phase, phase_of, state_of_driver

ALIVE = frozenset({"Pending", "Running", "Unknown"})
"""Pod phases in which a driver may still write."""
QUERY_GAUGE = ".spark.streaming."
"""A part of the name of each gauge of a streaming query."""


@dataclass(frozen=True)
class Evidence:
    """The state of one stream, as the Kubernetes API returns it.

    A quick look (`adapters/stream/streams.py`) fills the first four fields. A full look
    (`adapters/diagnosis/evidence_sources.py`) fills all of them. Checks that need the time, Kafka
    or the store run only if `seen_at` is set. A source that did not answer is None here, and
    `unanswered` has the reason.
    """

    application: KubernetesObject | None
    pods: Sequence[KubernetesObject] = ()
    metrics: KubernetesObject | None = None
    driver_log: str = ""
    seen_at: datetime | None = None
    events: Sequence[KubernetesObject] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    """By pod; the log of a pod's previous container is under `<pod>.previous`."""
    position: Position | None = None
    topic: Topic | None = None
    probes: int = 0
    """How often the watcher has asked for metrics; 0 if there is no answer yet."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """The last messages of a failed run's tasks, by task."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    """Why a source of the full look did not answer, by source (`kafka`, `store`, `events`, ...)."""

    @property
    def exists(self) -> bool:
        """Tell whether the stream exists: an application, or a driver without one."""
        return self.application is not None or self.driver is not None

    @property
    def status(self) -> KubernetesObject:
        """Return the application's status; empty if there is none yet."""
        return (self.application or {}).get("status") or {}

    @property
    def state(self) -> str:
        """Return the application's state, e.g. `RUNNING`; empty for a new one.

        A driver that plain spark-submit started has no application: its pod's phase counts instead.
        """
        if self.application is None and self.driver is not None:
            return state_of_driver(self.driver_phase)
        return str((self.status.get("applicationState") or {}).get("state", ""))

    @property
    def runs(self) -> bool:
        """Tell whether the driver runs, as it should: the operator notices it some seconds late."""
        phase = phase_of(self.state)
        return self.driver_phase == "Running" and phase in {Phase.STARTING, Phase.RUNNING}

    @property
    def message(self) -> str:
        """Return the application's error message."""
        return str((self.status.get("applicationState") or {}).get("errorMessage", ""))

    @property
    def starts(self) -> int:
        """Return how often the operator has started a driver of this application."""
        return int(self.status.get("executionAttempts") or 0)

    @property
    def flags(self) -> dict[str, str]:
        """Return the job's command line, by flag: from the application, else from the driver."""
        words = ((self.application or {}).get("spec") or {}).get("arguments")
        if words is None:
            containers = (self.driver or {}).get("spec", {}).get("containers") or [{}]
            words = containers[0].get("args") or []
        return flags_in(words)

    @property
    def store_prefix(self) -> str:
        """Return where the stream writes according to its command line; empty if unknown."""
        return prefix_in(self.flags)

    @property
    def drivers(self) -> list[KubernetesObject]:
        """Return the driver pods; more than one only where something is wrong."""
        return [
            pod
            for pod in self.pods
            if (pod["metadata"].get("labels") or {}).get("spark-role") == "driver"
        ]

    @property
    def driver(self) -> KubernetesObject | None:
        """Return the driver pod: the live one, if an earlier one is still listed."""
        return max(self.drivers, key=lambda pod: pod["status"].get("phase") in ALIVE, default=None)

    @property
    def driver_phase(self) -> str:
        """Return the driver pod's phase, e.g. `Pending`."""
        return str(self.driver["status"].get("phase")) if self.driver else "missing"

    @property
    def driver_started(self) -> datetime | None:
        """Return when the driver's container began to run; None if it is not running."""
        for status in (self.driver or {}).get("status", {}).get("containerStatuses") or ():
            if running := status.get("state", {}).get("running"):
                return datetime.fromisoformat(running["startedAt"])
        return None

    @property
    def lifetime(self) -> timedelta | None:
        """Return how long a driver ran that has ended; None if the cluster no longer knows."""
        for status in (self.driver or {}).get("status", {}).get("containerStatuses") or ():
            if ended := status.get("state", {}).get("terminated"):
                return _between(ended.get("startedAt"), ended.get("finishedAt"))
        return _between(
            self.status.get("lastSubmissionAttemptTime"), self.status.get("terminationTime")
        )

    @property
    def live_queries(self) -> int:
        """Return how many streaming queries the driver's gauges show."""
        gauges = (self.metrics or {}).get("gauges", {})
        names = {
            name.split(QUERY_GAUGE, 1)[1].rsplit(".", 1)[0]
            for name in gauges
            if QUERY_GAUGE in name
        }
        return len(names)

    @property
    def input_rate(self) -> float | None:
        """Return the alerts per second that the last batch read, from the driver's gauges."""
        gauges = (self.metrics or {}).get("gauges", {})
        rates = [
            float(gauge["value"])
            for name, gauge in gauges.items()
            if QUERY_GAUGE in name and name.endswith(".inputRate-total")
        ]
        return sum(rates) if rates and all(map(isfinite, rates)) else None

    @property
    def lag(self) -> int | None:
        """Return how many alerts of the topic are not committed yet; None if unknown."""
        return self._behind(self.topic.ends) if self.topic else None

    @property
    def overdue(self) -> int:
        """Return how many alerts have waited longer than they should."""
        return (self._behind(self.topic.due) or 0) if self.topic else 0

    def _behind(self, ends: Mapping[int, int]) -> int | None:
        if self.topic is None or self.position is None:
            return None
        following = {p: self.position.next.get(p, self.topic.starts.get(p, 0)) for p in ends}
        return sum(max(0, end - following[p]) for p, end in ends.items())


def _between(start: str | None, end: str | None) -> timedelta | None:
    return datetime.fromisoformat(end) - datetime.fromisoformat(start) if start and end else None

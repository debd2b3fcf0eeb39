"""Stop streams in the cluster: take the steps of `core.stop`, and observe how drivers end."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.adapters.stream.streams import APPLICATION_KIND, DriverLog
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.stop.remains import Remains
from fink_k8s.core.stop.stop_course import (
    Action,
    Course,
    DriverEnd,
    Step,
    grace_of,
    next_step,
)
from fink_k8s.core.stop.stop_outcome import Kept
from fink_k8s.core.stop.stop_request import StopHow, StopManner
from fink_k8s.core.stream.ownership import stream_of
from fink_k8s.core.stream.stream_names import parse_stream_name

_OTHERS = ("Service", "ConfigMap")


def remains_of(cluster: Cluster, namespace: str, stream: str) -> Remains:
    """Return what the cluster holds of one stream."""
    application = cluster.find(APPLICATION_KIND, stream, namespace)
    return Remains(
        {**application, "kind": APPLICATION_KIND} if application else None,
        [pod for pod in cluster.find_all("Pod", namespace) if stream_of(pod) == stream],
        [
            thing
            for kind in _OTHERS
            for thing in cluster.find_all(kind, namespace)
            if stream_of(thing) == stream
        ],
    )


def streams_in(cluster: Cluster, namespace: str) -> dict[str, Remains]:
    """Return every stream that has an object in the namespace, by name."""
    found: dict[str, dict[str, list[KubernetesObject]]] = defaultdict(lambda: defaultdict(list))
    for kind in (APPLICATION_KIND, "Pod", *_OTHERS):
        for thing in cluster.find_all(kind, namespace):
            if stream := stream_of(thing):
                found[stream][kind].append(thing)
    return {
        stream: Remains(
            next(iter(parts[APPLICATION_KIND]), None),
            parts["Pod"],
            [thing for kind in _OTHERS for thing in parts[kind]],
        )
        for stream, parts in sorted(found.items())
    }


class PodWatch(DriverLog):
    """The events of a stream's driver pods, followed while they live.

    A pod that ends while it is being deleted shows its exit code for a fraction of a second only;
    polling every other second would miss it.
    """

    def _open(self, pod: str) -> Any:
        return self._cluster.watch_pod(self._namespace, pod)

    @property
    def end(self) -> DriverEnd:
        """Return how the driver ended, as far as observed."""
        for line in reversed(self.text.splitlines()):
            with contextlib.suppress(ValueError):
                if end := _end_in(json.loads(line).get("object") or {}):
                    return end
        return DriverEnd()


class Witness:
    """Observes how a driver ends: its exit code and its last message."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._log = DriverLog(cluster, namespace)
        self._watch = PodWatch(cluster, namespace)

    def follow(self, drivers: Sequence[KubernetesObject]) -> None:
        """Follow each running driver that is not followed yet."""
        for driver in drivers:
            if driver.get("status", {}).get("phase") == "Running":
                self._watch.follow(driver)
                self._log.follow(driver)

    @property
    def end(self) -> DriverEnd:
        """Return what was observed so far."""
        return self._watch.end.model_copy(update={"said": _last_word(self._log.text)})

    def close(self) -> None:
        """Stop following."""
        self._log.close()
        self._watch.close()


def pursue(
    cluster: Cluster,
    namespace: str,
    course: Course,
    manner: StopManner,
    witness: Witness,
    now: datetime,
) -> tuple[Course, Step]:
    """Look once, take the next step, and return the progress of the stop.

    It is safe to call this concurrently, or again from an earlier course: each call does only what
    the cluster still needs.
    """
    remains = remains_of(cluster, namespace, course.stream)
    course = course.noting(remains, now)
    witness.follow(remains.drivers)
    step = next_step(course, manner, remains, now)
    _act(cluster, step.action, manner, remains)
    return course.doing(step.action, manner, now).seeing(witness.end), step


def ask_to_end(cluster: Cluster, namespace: str, stream: str, manner: StopManner) -> None:
    """Ask a stream to end, without waiting for it."""
    now = utc_now()
    course = Course.of(stream, remains_of(cluster, namespace, stream), now)
    witness = Witness(cluster, namespace)
    try:
        pursue(cluster, namespace, course, manner, witness, now)
    finally:
        witness.close()


def _act(cluster: Cluster, action: Action, manner: StopManner, remains: Remains) -> None:
    def end(pods: Sequence[KubernetesObject]) -> None:
        for pod in pods:
            cluster.end(pod, grace_of(action, manner, pod))

    match action:
        case Action.ASK:
            # The driver first: deleting the application would give it another grace period.
            end(remains.pods if manner.how is StopHow.AT_ONCE else remains.drivers)
            if remains.application:
                cluster.end(remains.application)
        case Action.KILL | Action.FORCE:
            end(remains.pods)
        case Action.SWEEP:
            end(remains.pods)
            for thing in remains.others:
                cluster.end(thing)


def kept_of(
    cluster: Cluster, namespace: str, stream: str, store: Store | None, prefix: str
) -> Kept:
    """Return what a stop keeps; `unread` has the reason if something cannot be read.

    `store` is None if Airflow cannot access it.
    """
    _, night = parse_stream_name(stream)
    kept = Kept.of_night(prefix, night) if prefix else Kept()
    kept = kept.model_copy(update={"unread": "" if store else "Airflow has no access to its store"})
    try:
        claims = [
            claim["metadata"]["name"]
            for claim in cluster.find_all("PersistentVolumeClaim", namespace)
            if stream_of(claim) == stream and not claim["metadata"].get("ownerReferences")
        ]
        kept = kept.model_copy(update={"claims": tuple(claims)})
        if store:
            committed, planned = store.committed(night), store.planned(night)
            read = {
                "committed": committed[-1] if committed else None,
                "planned": planned[-1] if planned else None,
                "counts": store.counts(night).as_dict() if committed else None,
            }
            kept = kept.model_copy(update=read)
    except (FinkError, OSError, ValueError, KeyError) as error:
        return kept.model_copy(update={"unread": " ".join(str(error).split())[:300]})
    return kept


def _end_in(pod: KubernetesObject) -> DriverEnd | None:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if ended := status.get("state", {}).get("terminated"):
            return DriverEnd(exit_code=ended.get("exitCode"), reason=ended.get("reason") or "")
    return None


def _last_word(log: str) -> str:
    """Return stream2raw's last event, e.g. `ended: asked to`; empty for another job."""
    for line in reversed(log.splitlines()):
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(line)
            if (event := said.get("stream2raw")) in {"ended", "failed", "refused"}:
                return f"{event}: {said.get('reason', '')}"
    return ""

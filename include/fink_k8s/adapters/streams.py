"""One night's stream in the cluster: what is seen of it, and how it comes to be exactly once."""

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import urllib3

from fink_k8s.adapters.cluster import Cluster
from fink_k8s.core.diagnosis import Evidence, diagnose_words
from fink_k8s.core.errors import Conflict, FinkError, Refused, Unavailable
from fink_k8s.core.manifests import differences, hash_of
from fink_k8s.core.names import driver_pod_name, pod_selector
from fink_k8s.core.states import is_over

KIND = "SparkApplication"
_ALIVE = frozenset({"Pending", "Running", "Unknown"})
_DELETE_SECONDS = 60


class Way(StrEnum):
    """How a stream came to be there."""

    CREATED = "created"
    ADOPTED = "adopted"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Submission:
    """What was done, and the application as the API server has it."""

    way: Way
    application: dict[str, Any]


class DriverLog:
    """The last lines of a stream's drivers, followed while they run.

    The operator deletes a driver that has failed at once, and what it said last with it; so its
    log has to be read while it is written. Subclasses follow something else of the same drivers.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._lines: deque[str] = deque(maxlen=100)
        self._uid = ""
        self._answer: Any = None

    @property
    def text(self) -> str:
        """Return what was read so far."""
        return "\n".join(self._lines)

    def follow(self, driver: Any) -> None:
        """Read a driver's log from now on, unless that is being done."""
        if driver["metadata"]["uid"] == self._uid:
            return
        self.close()
        self._uid = driver["metadata"]["uid"]
        name = driver["metadata"]["name"]
        threading.Thread(
            target=self._read, args=(name,), name=f"log of {name}", daemon=True
        ).start()

    def close(self) -> None:
        """Read no more; the thread that reads sees the end and closes."""
        if self._answer is not None:
            # Closing it here would wait for that thread, which waits for the driver.
            with contextlib.suppress(OSError, ValueError):
                self._answer.shutdown()
            self._answer = None

    def _open(self, pod: str) -> Any:
        return self._cluster.follow_log(self._namespace, pod)

    def _read(self, pod: str) -> None:
        # A log that cannot be read is no reason to fail: it only makes a diagnosis less exact.
        with contextlib.suppress(FinkError, urllib3.exceptions.HTTPError, OSError):
            answer = self._answer = self._open(pod)
            with contextlib.closing(answer):
                for line in answer:
                    self._lines.append(line.decode(errors="replace").rstrip())


def observe(
    cluster: Cluster, namespace: str, stream: str, log: DriverLog | None = None
) -> Evidence:
    """Return what the cluster says of `stream` at this moment.

    Who looks again and again gives a `log`, which keeps what a driver said before it was deleted.
    """
    application = cluster.find(KIND, stream, namespace)
    pods = cluster.pods(namespace, pod_selector(stream))
    seen = Evidence(application, pods)
    driver = driver_pod_name(stream)
    metrics, text = None, log.text if log else ""
    if seen.driver_phase == "Running":
        metrics = cluster.driver_metrics(namespace, driver)
        if log:
            log.follow(seen.driver)
    elif seen.driver_phase == "Failed":
        text = cluster.driver_log(namespace, driver) or text
    return Evidence(application, pods, metrics, text)


def ensure_stream(cluster: Cluster, manifest: dict[str, Any]) -> Submission:
    """Create the application, or adopt the one of that name if it is the same.

    The name is the lock of the night: whatever is called at once or again, one application and
    one driver come of it.

    Raises:
        Conflict: one is there with another spec; the message names the fields that differ.
        Refused: a driver of an earlier application still lives.
        Unavailable: one is being deleted; the same call works when it is gone.
    """
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    found = cluster.find(KIND, name, namespace)
    if found is None:
        return _create(cluster, manifest)
    if found["metadata"].get("deletionTimestamp"):
        raise Unavailable(f"stream {name} is being deleted; trigger again when it is gone")
    if is_over(Evidence(found).state):
        _check_no_driver(cluster, namespace, name)
        _delete(cluster, namespace, name)
        return Submission(Way.REPLACED, _create(cluster, manifest).application)
    if hash_of(found) != hash_of(manifest):
        changed = ", ".join(differences(found["spec"], manifest["spec"])) or "fields set by hand"
        raise Conflict(
            f"stream {name} already runs with another spec ({changed}); trigger with the values it "
            f"runs with, or stop it first: trigger fink_stop with streams={name}"
        )
    return Submission(Way.ADOPTED, found)


def _create(cluster: Cluster, manifest: dict[str, Any]) -> Submission:
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    _check_no_driver(cluster, namespace, name)
    try:
        return Submission(Way.CREATED, cluster.create(manifest))
    except Conflict:
        # Someone else was faster; theirs is now the one to adopt, or to refuse.
        return ensure_stream(cluster, manifest)
    except FinkError as error:
        if found := diagnose_words(str(error)):
            raise type(error)(str(found), diagnosis=found) from error
        raise


def _check_no_driver(cluster: Cluster, namespace: str, name: str) -> None:
    selector = pod_selector(name) + ",spark-role=driver"
    for pod in cluster.pods(namespace, selector):
        if pod["status"].get("phase") in _ALIVE:
            pod_name = pod["metadata"]["name"]
            raise Refused(
                f"driver {pod_name} of an earlier application {name} still lives, and two drivers "
                f"must not write one night; wait, or end it: trigger fink_stop with streams={name}",
                retryable=True,
            )


def _delete(cluster: Cluster, namespace: str, name: str) -> None:
    cluster.delete(KIND, name, namespace)
    deadline = time.monotonic() + _DELETE_SECONDS
    while cluster.find(KIND, name, namespace):
        if time.monotonic() > deadline:
            raise Unavailable(f"the ended stream {name} is not gone after {_DELETE_SECONDS} s")
        time.sleep(0.5)

"""One night's stream in the cluster: observe it, and start it exactly once."""

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import urllib3

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.base.waiting import ask_until_true
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import Conflict, FinkError, Refused, Unavailable
from fink_k8s.core.base.names import ANNOTATION_SPEC, is_of_operator
from fink_k8s.core.config.surveys import load_surveys
from fink_k8s.core.diagnosis.causes import diagnosis_from
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.messages import diagnose_words
from fink_k8s.core.stream.manifests import differences, hash_of
from fink_k8s.core.stream.states import is_over, state_of_driver
from fink_k8s.core.stream.stream_names import (
    driver_pod_name,
    parse_stream_name,
    pod_selector,
    stream_name,
)
from fink_k8s.core.stream.stream_request import SubmitWith
from fink_k8s.core.stream.submit_conf import check_spark_conf

APPLICATION_KIND = "SparkApplication"
_DELETE_SECONDS = 60
# Longer than spark-submit takes from the driver's pod to its config map.
_SUBMITTING = timedelta(seconds=30)


class Way(StrEnum):
    """How the stream was obtained."""

    CREATED = "created"
    ADOPTED = "adopted"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Submission:
    """What was done, and the application (or the driver without one) from the API server."""

    way: Way
    there: dict[str, Any]


class DriverLog:
    """The last lines of a stream's drivers, followed while they run.

    The operator deletes a failed driver at once, together with its log, so the log has to be read
    while it is written. Subclasses follow another resource of the same drivers.
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
        """Start to read a driver's log, unless it is already being read."""
        if driver["metadata"]["uid"] == self._uid:
            return
        self.close()
        self._lines.clear()  # another driver's log does not explain this one's end
        self._uid = driver["metadata"]["uid"]
        name = driver["metadata"]["name"]
        threading.Thread(
            target=self._read, args=(name,), name=f"log of {name}", daemon=True
        ).start()

    def close(self) -> None:
        """Stop reading; the reading thread notices and closes the connection."""
        if self._answer is not None:
            # Closing it here would wait for that thread, which waits for the driver.
            with contextlib.suppress(OSError, ValueError):
                self._answer.shutdown()
            self._answer = None

    def _open(self, pod: str) -> Any:
        return self._cluster.follow_log(self._namespace, pod)

    def _read(self, pod: str) -> None:
        # An unreadable log is not an error: it only makes a diagnosis less exact.
        with contextlib.suppress(FinkError, urllib3.exceptions.HTTPError, OSError):
            answer = self._answer = self._open(pod)
            with contextlib.closing(answer):
                for line in answer:
                    self._lines.append(line.decode(errors="replace").rstrip())


def observe(
    cluster: Cluster, namespace: str, stream: str, log: DriverLog | None = None
) -> Evidence:
    """Return the current evidence of `stream` from the cluster.

    For repeated looks, pass a `log`, which keeps the last log lines of a deleted driver.
    """
    application = cluster.find(APPLICATION_KIND, stream, namespace)
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


@dataclass(frozen=True)
class Holder:
    """The object that has a night's name: an application, or a driver without one."""

    submitted_with: SubmitWith
    kind: str
    there: dict[str, Any]
    state: str

    @property
    def name(self) -> str:
        """Return the object's name."""
        return str(self.there["metadata"]["name"])

    @property
    def evidence(self) -> Evidence:
        """Return the object as evidence of its stream."""
        is_application = self.kind == APPLICATION_KIND
        return Evidence(self.there) if is_application else Evidence(None, [self.there])

    @property
    def spec(self) -> dict[str, Any]:
        """Return the spec it was created from; empty if it does not record one."""
        if self.kind == APPLICATION_KIND:
            return dict(self.there["spec"])
        annotations = self.there["metadata"].get("annotations") or {}
        return dict(json.loads(annotations.get(ANNOTATION_SPEC, "{}")))


def holders(cluster: Cluster, namespace: str, stream: str) -> list[Holder]:
    """Return the objects that have the stream's name, however it was submitted.

    A driver that the operator launched does not count while its application is active.
    """
    found = []
    application = cluster.find(APPLICATION_KIND, stream, namespace)
    if application:
        state = Evidence(application).state
        found.append(Holder(SubmitWith.SPARK_OPERATOR, APPLICATION_KIND, application, state))
    at_work = application is not None and not is_over(Evidence(application).state)
    for pod in _drivers(cluster, namespace, stream):
        is_operators = is_of_operator(pod)
        if is_operators and at_work:
            continue
        way = SubmitWith.SPARK_OPERATOR if is_operators else SubmitWith.SPARK_SUBMIT
        found.append(Holder(way, "Pod", pod, state_of_driver(pod["status"].get("phase", ""))))
    return found


def _drivers(cluster: Cluster, namespace: str, stream: str) -> list[dict[str, Any]]:
    """Return the stream's driver pods, and any other pod with the driver's name."""
    pods = cluster.pods(namespace, f"{pod_selector(stream)},spark-role=driver")
    name = driver_pod_name(stream)
    if all(pod["metadata"]["name"] != name for pod in pods):
        pods += filter(None, [cluster.find("Pod", name, namespace)])
    return pods


def ensure_stream(
    cluster: Cluster,
    manifest: dict[str, Any],
    submit_with: SubmitWith = SubmitWith.SPARK_OPERATOR,
    create: Callable[[], dict[str, Any]] | None = None,
    *,
    as_it_runs: bool = False,
) -> Submission:
    """Start the stream, or adopt an existing one with the same name and spec.

    The name is the lock of the night: concurrent and repeated calls, for either way to submit,
    result in one driver. `create` starts the stream if no object has its name, and returns the new
    object; without it, the application is created. If `as_it_runs`, a live stream is adopted with
    any spec.

    Raises:
        Conflict: it runs with another spec; the message names the fields that differ.
        Refused: it was submitted in the other way, a driver of an earlier application is still
            alive, or the stream of another survey writes to the same place.
        Unavailable: it is being deleted; the same call works when it is gone.
    """
    check_spark_conf(manifest["spec"])
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    found = holders(cluster, namespace, name)
    ended = [one for one in found if is_over(one.state) or _is_a_torso(cluster, one)]
    for holder in found:
        if holder not in ended:
            _check_way(holder, manifest, submit_with)
            if not as_it_runs:
                _check_same(holder, manifest)
    if alive := [one for one in found if one not in ended]:
        return Submission(Way.ADOPTED, alive[0].there)
    _check_alone(cluster, manifest)
    for holder in ended:
        _delete(cluster, namespace, holder)
    try:
        made = (create or partial(cluster.create, manifest))()
    except Conflict:
        # Another run was faster; adopt its stream, or refuse it.
        return ensure_stream(cluster, manifest, submit_with, create, as_it_runs=as_it_runs)
    except FinkError as error:
        if diagnosis_from(str(error)) is None and (cause := diagnose_words(str(error))):
            raise type(error)(str(cause), retryable=error.retryable) from error
        raise
    return Submission(Way.REPLACED if ended else Way.CREATED, made)


def _check_way(holder: Holder, manifest: dict[str, Any], submit_with: SubmitWith) -> None:
    """Check that a live holder can be the requested stream."""
    name = manifest["metadata"]["name"]
    if holder.there["metadata"].get("deletionTimestamp"):
        raise Unavailable(f"stream {name} is being deleted; trigger again when it is gone")
    if holder.submitted_with is not submit_with:
        raise Refused(
            f"stream {name} is already running, submitted with {holder.submitted_with}, and two "
            f"drivers must not write one night; set submit_with to {holder.submitted_with} to "
            f"adopt it, or stop it first: trigger fink_stop with streams={name}"
        )
    if holder.kind == "Pod" and submit_with is SubmitWith.SPARK_OPERATOR:
        raise Refused(
            f"driver {holder.name} of an earlier application {name} is still alive, and two "
            f"drivers must not write one night; wait, or stop it: trigger fink_stop with "
            f"streams={name}",
            retryable=True,
        )


def _check_same(holder: Holder, manifest: dict[str, Any]) -> None:
    """Check that a live holder was created from the requested spec."""
    name = manifest["metadata"]["name"]
    if hash_of(holder.there) != hash_of(manifest):
        there = holder.spec
        changed = ", ".join(differences(there, manifest["spec"])) if there else ""
        raise Conflict(
            f"stream {name} is already running with another spec "
            f"({changed or 'fields set by hand'}); trigger with its current values, or stop it "
            f"first: trigger fink_stop with streams={name}"
        )


def _check_alone(cluster: Cluster, manifest: dict[str, Any]) -> None:
    """Check that no other survey's stream writes there: paths hold only the night."""
    namespace = manifest["metadata"]["namespace"]
    survey, night = parse_stream_name(manifest["metadata"]["name"])
    place = _place_of(Evidence(manifest), manifest)
    for other in set(load_surveys().names) - {survey}:
        for rival in holders(cluster, namespace, stream_name(other, night)):
            if not is_over(rival.state) and _place_of(rival.evidence, rival.there) == place:
                raise Refused(
                    f"{rival.name} already writes night {night} below {place[0]}, and two streams "
                    f"must not share folders: set a separate store_prefix for survey {survey} "
                    f"in surveys.yaml, or trigger fink_stop with "
                    f"streams={stream_name(other, night)} first"
                )


def _place_of(evidence: Evidence, there: dict[str, Any]) -> tuple[str, list[str]]:
    """Return where a stream writes: its prefix (for a claim, a folder) and its claims."""
    volumes = there["spec"].get("volumes") or ()
    claims = [one["persistentVolumeClaim"]["claimName"] for one in volumes
              if "persistentVolumeClaim" in one]  # fmt: skip
    return evidence.store_prefix, claims


def _is_a_torso(cluster: Cluster, holder: Holder) -> bool:
    """Tell whether a driver waits for config maps that its submission never created.

    spark-submit creates the driver first, and the config maps that it mounts right after. If it is
    interrupted in between, the pod stays Pending forever. Wait for a submission that may still be
    in progress.
    """
    pod = holder.there
    if holder.kind != "Pod" or pod["status"].get("phase") != "Pending":
        return False
    namespace = pod["metadata"]["namespace"]
    mounted = [volume["configMap"]["name"] for volume in pod["spec"].get("volumes") or ()
               if "configMap" in volume]  # fmt: skip

    def is_whole() -> bool:
        return all(cluster.find("ConfigMap", name, namespace) for name in mounted)

    def fate() -> str:
        if is_whole():
            return "whole"
        return "" if cluster.find("Pod", holder.name, namespace) else "gone"

    if is_whole():
        return False
    age = utc_now() - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    seconds = min(_SUBMITTING, _SUBMITTING - age).total_seconds()
    return ask_until_true(fate, seconds) != "whole"


def _delete(cluster: Cluster, namespace: str, holder: Holder) -> None:
    # Exactly this object: another call may have replaced it.
    cluster.delete(holder.kind, holder.name, namespace, uid=holder.there["metadata"]["uid"])
    if not ask_until_true(lambda: not _is_there(cluster, namespace, holder), _DELETE_SECONDS):
        raise Unavailable(
            f"{holder.kind} {holder.name} of the ended stream still exists after "
            f"{_DELETE_SECONDS} s"
        )


def _is_there(cluster: Cluster, namespace: str, holder: Holder) -> bool:
    there = cluster.find(holder.kind, holder.name, namespace)
    return there is not None and there["metadata"]["uid"] == holder.there["metadata"]["uid"]

"""What pods and the events of the cluster show: the state of things outside the program."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.diagnosis.causes import Category, Diagnosis
from fink_k8s.core.diagnosis.evidence import ALIVE, Evidence
from fink_k8s.core.stream.states import Phase, phase_of

OPERATOR_TIME = timedelta(seconds=30)
"""How long an application may be without state."""

WRITERS_REMEDY = "Stop the one that no trigger made, then check the night: batches may be doubled"

EXECUTOR_MEMORY = "an executor ran out of memory"
EXECUTOR_MEMORY_REMEDY = "Give the executors more memory in the form, or take fewer alerts a batch"
_FIND_IMAGE = "Check tag, registry and FINK_IMAGE_PULL_SECRET, or run fink_image"
_NO_IMAGE = (Category.IMAGE_PULL, "image {image} cannot be pulled", _FIND_IMAGE)
# The kubelet's reasons for a container that waits: category, summary, remedy.
_WAITING = {
    "ErrImageNeverPull": _NO_IMAGE,
    "ErrImagePull": _NO_IMAGE,
    "ImageInspectError": _NO_IMAGE,
    "ImagePullBackOff": _NO_IMAGE,
    "InvalidImageName": _NO_IMAGE,
    "RegistryUnavailable": _NO_IMAGE,
    "CreateContainerConfigError": (
        Category.SECRET_MISSING,
        "a Secret or config map of {pod} is missing",
        "Make the Secret in the streams' namespace; FINK_STORE_SECRET names it",
    ),
}
# What a pod that cannot be scheduled lacks, and the remedy. The scheduler's words tell which:
# `persistentvolumeclaim "x" not found`, `pod has unbound immediate PersistentVolumeClaims`.
_CLAIM = "persistentvolumeclaim"
_NO_ROOM = ("room for", "Ask for less CPU and memory in the form, or add a node")
_NO_CLAIM = (
    "the claim of",
    "Make the claim that FINK_STORE_PREFIX names (create_claim), or see why it is not bound: "
    "kubectl describe pvc",
)
# Why the control plane itself ends a pod. The kubelet's own reason, TerminationByKubelet, is an
# eviction, whose node lives.
# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_DISRUPTIONS = {"DeletionByTaintManager", "DeletionByPodGC"}


def check_two_writers(evidence: Evidence) -> Diagnosis | None:
    """Name two drivers of one night: whatever else is wrong, this one loses alerts."""
    alive = [pod for pod in evidence.drivers if pod["status"].get("phase") in ALIVE]
    if len(alive) < 2:
        return None
    names = ", ".join(pod["metadata"]["name"] for pod in alive)
    return Diagnosis(
        Category.TWO_WRITERS,
        "two drivers write one night",
        f"{names} are alive at once",
        WRITERS_REMEDY,
    )


def check_waiting(evidence: Evidence) -> Diagnosis | None:
    """Read why a container waits to be made."""
    for pod, waiting in _waiting(evidence.pods):
        if known := _WAITING.get(str(waiting.get("reason"))):
            category, summary, resolution = known
            image = pod["spec"]["containers"][0]["image"]
            return Diagnosis(
                category,
                summary.format(image=image, pod=pod["metadata"]["name"]),
                waiting.get("message", waiting["reason"]),
                resolution,
            )
    return None


def check_node(evidence: Evidence) -> Diagnosis | None:
    """Tell a node that is gone, from its pods and their events alone: nodes are not ours to read.

    A pod goes on being `Running` on a node that says nothing any more; only its condition `Ready`
    and an event `NodeNotReady` tell.
    """
    for pod in evidence.pods:
        if why := _why_lost(pod, evidence.events):
            name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "its node")
            return Diagnosis(
                Category.NODE_LOST,
                f"the node {node} of {name} is lost",
                why,
                "Bring the node back or delete it; until then nobody knows whether the driver "
                "there still writes, so start no other by hand",
            )
    return None


def check_schedule(evidence: Evidence) -> Diagnosis | None:
    """Read why the scheduler finds no node."""
    for pod in evidence.pods:
        for condition in _conditions(pod):
            if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
                message, name = condition.get("message", ""), pod["metadata"]["name"]
                lacks, resolution = _NO_CLAIM if _CLAIM in message.lower() else _NO_ROOM
                summary = f"no node has {lacks} {name}"
                return Diagnosis(Category.UNSCHEDULABLE, summary, message, resolution)
    return None


def check_executors(evidence: Evidence) -> Diagnosis | None:
    """Read the kernel's verdict over executors; takes a full look.

    Spark starts others in their place and says little of it, so a quick look would call a stream
    troubled that goes on.
    """
    if evidence.seen_at is None:
        return None
    for pod in evidence.pods:
        for ended in _terminated(pod):
            if pod not in evidence.drivers and ended.get("reason") == "OOMKilled":
                return Diagnosis(
                    Category.OUT_OF_MEMORY,
                    EXECUTOR_MEMORY,
                    f"{pod['metadata']['name']} was killed, exit code {ended.get('exitCode')}",
                    EXECUTOR_MEMORY_REMEDY,
                )
    return None


def check_memory(evidence: Evidence) -> Diagnosis | None:
    """Read the kernel's verdict over a driver that has ended."""
    if phase_of(evidence.state) not in {Phase.DEAD, Phase.RESTARTING}:
        return None
    for ended in _terminated(evidence.driver):
        if ended.get("reason") == "OOMKilled":
            return Diagnosis(
                Category.OUT_OF_MEMORY,
                "the driver ran out of memory",
                f"its container was killed, exit code {ended.get('exitCode')}",
                "Give the driver more memory in the form",
            )
    return None


def check_operator(evidence: Evidence) -> Diagnosis | None:
    """Name an operator that lets an application lie; takes a clock."""
    if evidence.seen_at is None or evidence.application is None or evidence.state:
        return None
    made = evidence.application["metadata"].get("creationTimestamp")
    if made is None:
        return None
    waited = evidence.seen_at - datetime.fromisoformat(made)
    return operator_away(waited) if waited >= OPERATOR_TIME else None


def operator_away(waited: timedelta) -> Diagnosis:
    """Return the diagnosis of an application that has been without state for `waited`."""
    return Diagnosis(
        Category.OPERATOR_AWAY,
        "the Spark Operator does not take the application up",
        f"it has no state after {waited.total_seconds():.0f} s",
        "Bring the operator's controller back (helm); the application then starts by itself",
    )


def _why_lost(pod: KubernetesObject, events: Sequence[KubernetesObject]) -> str:
    status = pod.get("status", {})
    if status.get("reason") == "NodeLost":
        return str(status.get("message") or "NodeLost")
    for condition in _conditions(pod):
        if condition["type"] == "DisruptionTarget" and condition.get("reason") in _DISRUPTIONS:
            return str(condition.get("message") or condition["reason"])
    unready = any(
        condition["type"] == "Ready" and condition["status"] != "True"
        for condition in _conditions(pod)
    )
    if status.get("phase") in {"Running", "Unknown"} and unready:
        for event in events:
            about = event.get("involvedObject", {})
            if event.get("reason") == "NodeNotReady" and about.get("uid") == _uid(pod):
                return str(event.get("message") or "NodeNotReady")
    return ""


def _uid(pod: KubernetesObject) -> str:
    return str(pod["metadata"].get("uid", ""))


def _conditions(pod: KubernetesObject) -> Sequence[KubernetesObject]:
    return pod.get("status", {}).get("conditions") or ()


def _waiting(
    pods: Sequence[KubernetesObject],
) -> Iterator[tuple[KubernetesObject, KubernetesObject]]:
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if waiting := status.get("state", {}).get("waiting"):
                yield pod, waiting


def _terminated(pod: KubernetesObject | None) -> Iterator[KubernetesObject]:
    for status in (pod or {}).get("status", {}).get("containerStatuses") or ():
        for state in (status.get("state", {}), status.get("lastState", {})):
            if ended := state.get("terminated"):
                yield ended

"""Checks of pods and events: the state of things outside the program."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_of
from fink_k8s.core.diagnosis.evidence import ALIVE, Evidence
from fink_k8s.core.stream.states import Phase, phase_of

OPERATOR_TIME = timedelta(seconds=30)
"""How long an application may have no state."""

# The kubelet's reasons for a container that waits.
_WAITING = {
    "ErrImageNeverPull": Category.IMAGE_PULL,
    "ErrImagePull": Category.IMAGE_PULL,
    "ImageInspectError": Category.IMAGE_PULL,
    "ImagePullBackOff": Category.IMAGE_PULL,
    "InvalidImageName": Category.IMAGE_PULL,
    "RegistryUnavailable": Category.IMAGE_PULL,
    "CreateContainerConfigError": Category.SECRET_MISSING,
}
# The scheduler's words if a pod's claim is missing: `persistentvolumeclaim "x" not found`,
# `pod has unbound immediate PersistentVolumeClaims`.
_CLAIM = "persistentvolumeclaim"
# Why the control plane itself ends a pod. The kubelet's own reason, TerminationByKubelet, is an
# eviction, whose node lives.
# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_DISRUPTIONS = {"DeletionByTaintManager", "DeletionByPodGC"}


def check_two_writers(evidence: Evidence) -> Diagnosis | None:
    """Report two drivers of one night: of all faults, this one loses alerts."""
    alive = [pod for pod in evidence.drivers if pod["status"].get("phase") in ALIVE]
    if len(alive) < 2:
        return None
    names = ", ".join(pod["metadata"]["name"] for pod in alive)
    return diagnosis_of(Category.TWO_WRITERS, f"{names} are alive at the same time")


def check_waiting(evidence: Evidence) -> Diagnosis | None:
    """Report why a container cannot be created yet."""
    for pod, waiting in _waiting(evidence.pods):
        if category := _WAITING.get(str(waiting.get("reason"))):
            name, image = pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]
            detail = waiting.get("message", waiting["reason"])
            return diagnosis_of(category, detail, pod=name, image=image)
    return None


def check_node(evidence: Evidence) -> Diagnosis | None:
    """Report a lost node, from its pods and their events: this account may not read nodes.

    A pod stays `Running` on a node that no longer responds; only its condition `Ready` and an event
    `NodeNotReady` show the loss.
    """
    for pod in evidence.pods:
        if why := _why_lost(pod, evidence.events):
            name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "(unknown)")
            return diagnosis_of(Category.NODE_LOST, why, pod=name, node=node)
    return None


def check_schedule(evidence: Evidence) -> Diagnosis | None:
    """Report why the scheduler finds no node."""
    for pod in evidence.pods:
        for condition in _conditions(pod):
            if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
                message = condition.get("message", "")
                variant = "claim" if _CLAIM in message.lower() else ""
                name = pod["metadata"]["name"]
                return diagnosis_of(Category.UNSCHEDULABLE, message, variant, pod=name)
    return None


def check_executor_memory(evidence: Evidence) -> Diagnosis | None:
    """Report executors that the kernel killed for memory; needs a full look.

    Spark replaces them and logs little about it, so a quick look would report trouble for a stream
    that keeps running.
    """
    if evidence.seen_at is None:
        return None
    for pod in evidence.pods:
        for ended in _terminated(pod):
            if pod not in evidence.drivers and ended.get("reason") == "OOMKilled":
                name = pod["metadata"]["name"]
                detail = f"{name} was killed, exit code {ended.get('exitCode')}"
                return diagnosis_of(Category.OUT_OF_MEMORY, detail, "executor")
    return None


def check_driver_memory(evidence: Evidence) -> Diagnosis | None:
    """Report a driver that the kernel killed for memory."""
    if phase_of(evidence.state) not in {Phase.DEAD, Phase.RESTARTING}:
        return None
    for ended in _terminated(evidence.driver):
        if ended.get("reason") == "OOMKilled":
            detail = f"its container was killed, exit code {ended.get('exitCode')}"
            return diagnosis_of(Category.OUT_OF_MEMORY, detail, "driver")
    return None


def check_operator(evidence: Evidence) -> Diagnosis | None:
    """Report an operator that does not process an application; needs a full look."""
    if evidence.seen_at is None or evidence.application is None or evidence.state:
        return None
    made = evidence.application["metadata"].get("creationTimestamp")
    if made is None:
        return None
    waited = evidence.seen_at - datetime.fromisoformat(made)
    return operator_away(waited) if waited >= OPERATOR_TIME else None


def operator_away(waited: timedelta) -> Diagnosis:
    """Return the diagnosis of an application that has had no state for `waited`."""
    detail = f"it has no state after {waited.total_seconds():.0f} s"
    return diagnosis_of(Category.OPERATOR_AWAY, detail)


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

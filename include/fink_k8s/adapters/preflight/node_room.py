"""How much room the cluster's nodes have; quantities become numbers here."""

from collections.abc import Sequence
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.preflight.prerequisites import Room

_KEEPS_OFF = {"NoSchedule", "NoExecute"}


def free_room(
    nodes: Sequence[KubernetesObject], pods: Sequence[KubernetesObject]
) -> dict[str, Room]:
    """Return what each node that takes pods has left, by the requests of the pods on it.

    Raises:
        ValueError: a quantity cannot be read.
    """
    free = {}
    for node in nodes:
        taints = node["spec"].get("taints") or ()
        if node["spec"].get("unschedulable") or any(t["effect"] in _KEEPS_OFF for t in taints):
            continue
        free[node["metadata"]["name"]] = _room_of(node["status"]["allocatable"])
    for pod in pods:
        node_name = pod["spec"].get("nodeName")
        if node_name in free and pod["status"].get("phase") in ("Pending", "Running"):
            for container in pod["spec"]["containers"]:
                cpu, memory = _room_of((container.get("resources") or {}).get("requests") or {})
                free[node_name] = (free[node_name][0] - cpu, free[node_name][1] - memory)
    return free


def _room_of(resources: KubernetesObject) -> Room:
    cpu: Decimal = parse_quantity(resources.get("cpu", "0"))
    return cpu, int(parse_quantity(resources.get("memory", "0")))

"""What the cluster holds of one stream at one moment, and the state of each object."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.stream.ownership import is_driver


@dataclass(frozen=True)
class Remains:
    """What the cluster holds of one stream at one moment, as the API gives it, with `kind`."""

    application: KubernetesObject | None = None
    pods: Sequence[KubernetesObject] = ()
    others: Sequence[KubernetesObject] = ()

    @property
    def all(self) -> list[KubernetesObject]:
        """Return every object."""
        return [*([self.application] if self.application else []), *self.pods, *self.others]

    @property
    def drivers(self) -> list[KubernetesObject]:
        """Return the drivers' pods, alive or not."""
        return [pod for pod in self.pods if is_driver(pod)]

    @property
    def unasked(self) -> bool:
        """Tell whether an application or a driver exists that is not being deleted."""
        heads = [*([self.application] if self.application else []), *self.drivers]
        return not all(is_going(head) for head in heads)

    @property
    def store_prefix(self) -> str:
        """Return where the stream writes according to its arguments; empty if unknown."""
        return Evidence(self.application, self.pods).store_prefix

    @property
    def state(self) -> str:
        """Return the application's state, or the one its driver's pod implies; '' if new."""
        return Evidence(self.application, self.pods).state

    def __str__(self) -> str:
        """Return the name and the state of every object."""
        return ", ".join(map(_described, self.all)) or "nothing"


def is_alive(pod: KubernetesObject) -> bool:
    """Tell whether a container of the pod was started and has not ended."""
    return pod.get("status", {}).get("phase") in {"Running", "Unknown"}


def is_going(thing: KubernetesObject) -> bool:
    """Tell whether an object is being deleted."""
    return bool(thing["metadata"].get("deletionTimestamp"))


def is_vouched_for(pod: KubernetesObject) -> bool:
    """Tell whether the pod's node reports it as ready: then it runs, even while being deleted."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def grace_end_of(pod: KubernetesObject) -> datetime:
    """Return when a pod that is being deleted is killed."""
    return datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])


def _described(thing: KubernetesObject) -> str:
    metadata = thing["metadata"]
    words = []
    if thing["kind"] == "SparkApplication":
        words.append(Evidence(thing).state or "new")
    elif thing["kind"] == "Pod":
        words.append(str(thing.get("status", {}).get("phase", "")))
    if is_going(thing):
        words.append("being deleted")
    return f"{thing['kind']} {metadata['name']}" + (f" ({', '.join(words)})" if words else "")

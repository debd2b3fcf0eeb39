"""Which stream an object of the cluster belongs to: by its labels, its name, or its owner."""

from typing import Any

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.base.names import LABEL_NIGHT, LABEL_SURVEY
from fink_k8s.core.stream.stream_names import driver_pod_name, parse_stream_name

_DRIVER_SUFFIX = driver_pod_name("")


def stream_of(thing: KubernetesObject) -> str:
    """Return the name of the stream that `thing` is a part of; empty for everything else.

    An application is recognized by its name, which is the lock of the night; a pod by the project's
    labels or the driver's name; objects that Spark and the operator created by their owner. `thing`
    is an object as the API returns it, with its `kind`.
    """
    metadata = thing["metadata"]
    if thing["kind"] == "SparkApplication":
        return stream_named(metadata["name"])
    return (
        _stream_labelled(metadata.get("labels") or {})
        or (_stream_driven_by(metadata["name"]) if thing["kind"] == "Pod" else "")
        or _stream_owning(metadata.get("ownerReferences") or ())
    )


def is_driver(thing: KubernetesObject) -> bool:
    """Tell whether an object is a driver's pod."""
    if thing["kind"] != "Pod":
        return False
    role = (thing["metadata"].get("labels") or {}).get("spark-role")
    return role == "driver" or bool(_stream_driven_by(thing["metadata"]["name"]))


def _stream_labelled(labels: KubernetesObject) -> str:
    survey, night = labels.get(LABEL_SURVEY, ""), labels.get(LABEL_NIGHT, "")
    return stream_named(f"stream2raw-{survey}-{night}")


def _stream_owning(owners: Any) -> str:
    for owner in owners:
        found = ""
        if owner["kind"] == "SparkApplication":
            found = stream_named(owner["name"])
        elif owner["kind"] == "Pod":
            found = _stream_driven_by(owner["name"])
        if found:
            return found
    return ""


def _stream_driven_by(pod: str) -> str:
    return stream_named(pod.removesuffix(_DRIVER_SUFFIX)) if pod.endswith(_DRIVER_SUFFIX) else ""


def stream_named(name: str) -> str:
    """Return `name` if it is a stream's name, otherwise an empty text."""
    try:
        parse_stream_name(name)
    except InvalidRequest:
        return ""
    return name

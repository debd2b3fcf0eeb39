"""Kubernetes' objects as values, and what identifies one."""

from collections.abc import Mapping
from typing import Any

KubernetesObject = Mapping[str, Any]
"""An object as the API server gives it, with `kind`; for reading only."""
Manifest = dict[str, Any]
"""An object as it is sent to the API server."""


def name_of(thing: KubernetesObject) -> str:
    """Return an object's name."""
    return str(thing["metadata"]["name"])


def uid_of(thing: KubernetesObject | None) -> str:
    """Return an object's uid; empty for none, or for one that was never in a cluster."""
    return str((thing or {}).get("metadata", {}).get("uid", ""))


def version_of_object(thing: KubernetesObject) -> str:
    """Return the resource version of an object as the API server gave it."""
    return str(thing["metadata"]["resourceVersion"])

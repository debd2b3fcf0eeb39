"""The driver's rights, granted and denied, as data: for the Role and for its proof."""

from collections.abc import Mapping
from typing import Any

DRIVER_RULES: tuple[Mapping[str, Any], ...] = (
    {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["create", "get", "list", "watch", "delete", "deletecollection", "patch"],
    },
    {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["create", "get", "list", "watch", "delete", "deletecollection"],
    },
    {
        "apiGroups": [""],
        "resources": ["services"],
        "verbs": ["create", "get", "list", "delete", "deletecollection"],
    },
    {
        # At its end, Spark deletes its executors' claims, even if there are none.
        "apiGroups": [""],
        "resources": ["persistentvolumeclaims"],
        "verbs": ["list", "delete", "deletecollection"],
    },
)

DENIED_TO_DRIVER: tuple[tuple[str, str], ...] = (
    ("get", "secrets"),
    ("list", "secrets"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("get", "nodes"),
)
"""(verb, resource) that a driver of mode `least-privilege` must not have."""

EDIT_IN_CLUSTER: tuple[tuple[str, str], ...] = (("list", "pods"), ("get", "secrets"))
"""(verb, resource) in another namespace: granted only by mode `cluster-edit`."""


def allowed_to_driver() -> list[tuple[str, str]]:
    """Return each (verb, resource) of the driver's Role."""
    return [
        (verb, resource)
        for rule in DRIVER_RULES
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]

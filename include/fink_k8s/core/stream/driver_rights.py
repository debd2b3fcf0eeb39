"""What the driver may do, and what it must not, as data: for the Role and for its proof."""

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
        # Spark asks to delete its executors' claims at its end, whether there are any or not.
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
"""(verb, resource) that a driver of mode `least-privilege` must be refused."""

EDIT_IN_CLUSTER: tuple[tuple[str, str], ...] = (("list", "pods"), ("get", "secrets"))
"""(verb, resource) in another namespace: granted by mode `cluster-edit` alone."""


def allowed_to_driver() -> list[tuple[str, str]]:
    """Return each (verb, resource) of the driver's Role."""
    return [
        (verb, resource)
        for rule in DRIVER_RULES
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]

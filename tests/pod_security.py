"""What the Pod Security Standard `restricted` demands of a pod, by its own table.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"),
    *("projected", "secret"),
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def breaches_of_restricted(pod: dict[str, Any]) -> list[str]:
    """Return each field of a pod, as the API server has it, that breaks the standard."""
    spec = pod["spec"]
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for volume in spec.get("volumes") or ():
        kinds = set(volume) - {"name"}
        found += [f"{volume['name']}: {kind}" for kind in sorted(kinds - _VOLUMES)]
    of_pod = spec.get("securityContext") or {}
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    for one in containers:
        # What a container says goes before what its pod says.
        context = {**of_pod, **(one.get("securityContext") or {})}
        found += [f"{one['name']}: {field}" for field in _breaches_of_container(one, context)]
    return found


def _breaches_of_container(container: dict[str, Any], context: dict[str, Any]) -> Iterator[str]:
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort"
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield "runAsUser"
    if (context.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        yield "seccompProfile"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities.drop"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"

"""Whether a persistent volume claim serves a stream; pure: facts in, findings out."""

from collections.abc import Iterator, Sequence

from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.preflight.prerequisites import Finding, FindingLevel
from fink_k8s.core.store.claim_store import AccessMode

CLAIM_KIND = "PersistentVolumeClaim"
_IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_WAITS = "WaitForFirstConsumer"


def check_claim(
    settings: Settings,
    claim: KubernetesObject | None,
    classes: Sequence[KubernetesObject],
    nodes: int,
    size: str | None,
) -> Iterator[Finding]:
    """Compare the store's claim with what a stream needs of it.

    `classes` are the cluster's storage classes, `nodes` is the number of nodes that take pods, and
    `size` is the quantity for a new claim, None if the run creates none. The caller compares the
    size of an existing claim; see `too_small`.
    """
    if claim is None:
        yield from _check_missing(settings, classes, size)
        modes = [settings.claim_access_mode.value]
    else:
        yield _check_phase(settings, claim, classes)
        modes = claim["spec"].get("accessModes") or []
    yield from _check_modes(settings.store.claim, modes, nodes)


def too_small(claim: KubernetesObject, size: str) -> Finding:
    """Return the finding for a claim that is smaller than requested."""
    name = claim["metadata"]["name"]
    return Finding(
        FindingLevel.ERROR,
        f"claim {name} has {capacity_of(claim)}, but the form requests {size}; an existing "
        "claim is not changed",
        "request at most that, or expand the claim if its storage class allows it: kubectl -n "
        f"{claim['metadata']['namespace']} edit pvc {name}",
    )


def capacity_of(claim: KubernetesObject) -> str:
    """Return the size of the claim's volume or, before it has one, the size that it asks for."""
    capacity = (claim.get("status") or {}).get("capacity") or {}
    asked = claim["spec"]["resources"]["requests"]["storage"]
    return str(capacity.get("storage", asked))


def _check_missing(
    settings: Settings, classes: Sequence[KubernetesObject], size: str | None
) -> Iterator[Finding]:
    name, wanted = settings.store.claim, settings.claim_class
    if size is None:
        yield Finding(
            FindingLevel.ERROR,
            f"claim {name} is not in namespace {settings.namespace}",
            "create it, or trigger with create_claim; FINK_STORE_PREFIX sets its name",
        )
        return
    known = {one["metadata"]["name"]: one for one in classes}
    default = next((one for one in known if _is_default(known[one])), "")
    if wanted and wanted not in known:
        yield Finding(
            FindingLevel.ERROR,
            f"claim {name} needs storage class {wanted}, which the cluster does not have",
            "set FINK_CLAIM_CLASS to one of "
            f"{', '.join(known) or 'those that an administrator creates'}",
        )
    elif not (wanted or default):
        yield Finding(
            FindingLevel.WARNING,
            f"claim {name} will be created ({size}), but the cluster has no default storage class",
            "set FINK_CLAIM_CLASS, or ask an administrator for a volume that fits",
        )
    else:
        yield Finding(
            FindingLevel.OK, f"claim {name} will be created: {size}, class {wanted or default}"
        )


def _check_phase(
    settings: Settings, claim: KubernetesObject, classes: Sequence[KubernetesObject]
) -> Finding:
    name = claim["metadata"]["name"]
    see = f"see kubectl -n {settings.namespace} describe pvc {name}"
    if claim["metadata"].get("deletionTimestamp"):
        return Finding(
            FindingLevel.ERROR,
            f"claim {name} is being deleted",
            "wait until it is gone, or use another",
        )
    phase = (claim.get("status") or {}).get("phase", "Pending")
    if phase == "Bound":
        return Finding(FindingLevel.OK, f"claim {name} is bound: {capacity_of(claim)}")
    class_name = claim["spec"].get("storageClassName", "")
    mode = next(
        (c.get("volumeBindingMode") for c in classes if c["metadata"]["name"] == class_name), ""
    )
    if phase == "Pending" and mode == _WAITS:
        return Finding(FindingLevel.OK, f"claim {name} will be bound when the first pod uses it")
    if phase == "Pending":
        return Finding(
            FindingLevel.ERROR,
            f"claim {name} is not bound: no volume fits it, and nothing provisions volumes of "
            f"class {class_name or '(none)'}",
            see,
        )
    return Finding(FindingLevel.ERROR, f"claim {name} is {phase}: its volume is gone", see)


def _check_modes(name: str, modes: Sequence[str], nodes: int) -> Iterator[Finding]:
    if AccessMode.READ_WRITE_MANY in modes:
        return
    shown = ", ".join(modes)
    if AccessMode.READ_WRITE_ONCE not in modes:
        yield Finding(
            FindingLevel.ERROR,
            f"claim {name} is {shown}, but driver and executors all write to it",
            "use a claim that is ReadWriteMany, or ReadWriteOnce on a single-node cluster",
        )
    elif nodes > 1:
        yield Finding(
            FindingLevel.WARNING,
            f"claim {name} is {shown}: only one node at a time can use it, but {nodes} nodes "
            "take pods; a pod on a second node waits forever (Multi-Attach)",
            "use a claim that is ReadWriteMany, e.g. NFS or CephFS, or keep all pods on one node",
        )


def _is_default(storage_class: KubernetesObject) -> bool:
    return (storage_class["metadata"].get("annotations") or {}).get(_IS_DEFAULT) == "true"

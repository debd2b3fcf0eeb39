"""The persistent volume claim of the store: made once, never changed, never deleted."""

from kubernetes.utils.quantity import parse_quantity

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.core.base.errors import Conflict, InvalidRequest
from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.preflight.claim_checks import CLAIM_KIND, capacity_of, too_small
from fink_k8s.core.stream.manifests import make_claim


def ensure_claim(cluster: Cluster, settings: Settings, size: str, say: Say) -> bool:
    """Make the store's claim of `size`, unless it is there; tell whether that changed anything.

    Raises:
        InvalidRequest: the store is no claim, or the cluster refuses it.
        Conflict: a smaller claim of that name is there; it is left as it is.
    """
    name = settings.store.claim
    if not name:
        raise InvalidRequest(
            f"create_claim is set, but the store is {settings.store}, which needs no claim; leave "
            "it out, or set FINK_STORE_PREFIX to pvc://CLAIM"
        )
    there = cluster.find(CLAIM_KIND, name, settings.namespace)
    if there and is_smaller(there, size):
        found = too_small(there, size)
        raise Conflict(f"{found.text}; {found.remedy}")
    changed = there is None and cluster.apply(make_claim(settings, size))
    say(f"{CLAIM_KIND} {name}: {'applied' if changed else 'unchanged'}")
    return changed


def is_smaller(claim: KubernetesObject, size: str) -> bool:
    """Tell whether a claim holds less than `size`, a quantity."""
    return bool(parse_quantity(capacity_of(claim)) < parse_quantity(size))

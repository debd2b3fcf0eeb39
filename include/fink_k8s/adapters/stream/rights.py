"""Grant the drivers' rights, and verify them with the API server."""

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.base.waiting import ask_until_true
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Refused
from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.stream import manifests
from fink_k8s.core.stream.driver_rights import DENIED_TO_DRIVER, EDIT_IN_CLUSTER, allowed_to_driver
from fink_k8s.core.stream.stream_request import RbacMode

GRANT_SECONDS = 5.0


def ensure_rights(
    cluster: Cluster, settings: Settings, mode: RbacMode, say: Say, login: Login | None = None
) -> list[str]:
    """Create namespace, account and grants for `mode`; return what changed.

    An existing namespace is left unchanged. Going back to least privilege removes the project's own
    cluster-wide binding. If the settings name a pull secret, it is created from `login`.

    Raises:
        InvalidRequest: the pull secret does not exist, and there is no login to create it from.
    """
    changed = []
    wanted = [
        manifests.make_service_account(settings),
        manifests.make_role(settings),
        manifests.make_role_binding(settings),
    ]
    edit = manifests.make_cluster_edit_binding(settings)
    if cluster.find("Namespace", settings.namespace) is None:
        wanted.insert(0, manifests.make_namespace(settings))
    if mode is RbacMode.CLUSTER_EDIT:
        say("warning: cluster-edit lets the driver read every Secret of every namespace")
        wanted.append(edit)
    elif _is_ours(cluster, edit):
        cluster.delete(edit["kind"], edit["metadata"]["name"])
        changed.append(_title(edit))
        say(f"{_title(edit)}: removed")
    if settings.image_pull_secret and login:
        wanted.append(manifests.make_pull_secret(settings, login))
    for manifest in wanted:
        if cluster.apply(manifest):
            changed.append(_title(manifest))
        say(f"{_title(manifest)}: {'applied' if _title(manifest) in changed else 'unchanged'}")
    secret = settings.image_pull_secret
    if secret and not login and cluster.find("Secret", secret, settings.namespace) is None:
        raise InvalidRequest(
            f"FINK_IMAGE_PULL_SECRET names {secret}, which is not in namespace "
            f"{settings.namespace}; add a login to the connection docker_default, or create the "
            "Secret"
        )
    return changed


def prove_rights(cluster: Cluster, settings: Settings, mode: RbacMode, say: Say) -> int:
    """Check each right with the API server, granted and denied; return the number of checks.

    Raises:
        NotPermitted: a right that the driver needs is missing.
        Refused: the driver has a right that it must not have.
    """
    namespace = settings.namespace
    user = f"system:serviceaccount:{namespace}:{settings.service_account}"
    asked = [(verb, what, namespace, True) for verb, what in allowed_to_driver()]
    if mode is RbacMode.LEAST_PRIVILEGE:
        asked += [(verb, what, namespace, False) for verb, what in DENIED_TO_DRIVER]
        asked += [(verb, what, "default", False) for verb, what in EDIT_IN_CLUSTER]
    else:
        asked += [(verb, what, "default", True) for verb, what in EDIT_IN_CLUSTER]
    for verb, what, where, due in asked:
        if _is_so(cluster, user, verb, what, where, due):
            continue
        right = f"{verb} {what} in namespace {where}"
        if due:
            raise NotPermitted(
                f"{user} may not {right}, but needs this right; check its other bindings"
            )
        raise Refused(
            f"{user} may {right}, but must not: another binding grants this right; find it with "
            f"kubectl get rolebindings,clusterrolebindings -A -o wide | grep {namespace}/"
            f"{settings.service_account}"
        )
    denied = sum(1 for *_, due in asked if not due)
    say(f"the API server confirms: {len(asked) - denied} rights granted, {denied} denied")
    return len(asked)


def _is_so(cluster: Cluster, user: str, verb: str, what: str, where: str, due: bool) -> bool:
    """Check repeatedly for a while: the authorizer learns of new grants with a delay."""
    return ask_until_true(
        lambda: cluster.may(user, verb, what, where) == due, GRANT_SECONDS, pause=0.2
    )


def _is_ours(cluster: Cluster, manifest: Manifest) -> bool:
    found = cluster.find(manifest["kind"], manifest["metadata"]["name"])
    mine = manifest["metadata"]["labels"]
    return found is not None and mine.items() <= (found["metadata"].get("labels") or {}).items()


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"

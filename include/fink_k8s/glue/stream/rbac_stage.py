"""The stage `rbac`: the driver's rights, granted and proved."""

from airflow.sdk import task_group

from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.stream.stream_request import DeployStage, RbacRequest
from fink_k8s.glue.base.connections import ADMIN_CONNECTION, cluster, registry_login
from fink_k8s.glue.base.steps import request_of, step


@task_group(group_id="rbac")
def rbac() -> None:
    """Grant the driver's rights and prove them."""
    grant_rights() >> check_rights()


@step(DeployStage.RBAC)
def grant_rights() -> list[str]:
    """Create namespace, account, role, binding and pull secret; return what changed."""
    from fink_k8s.adapters.stream.rights import ensure_rights

    mode = request_of(RbacRequest).rbac_mode
    admin, login = cluster(ADMIN_CONNECTION), registry_login()
    return ensure_rights(admin, load_settings(), mode, say=print, login=login)


@step(DeployStage.RBAC)
def check_rights() -> int:
    """Check with the API server what the driver may do, and what it may not."""
    from fink_k8s.adapters.stream import rights

    mode = request_of(RbacRequest).rbac_mode
    return rights.prove_rights(cluster(ADMIN_CONNECTION), load_settings(), mode, say=print)

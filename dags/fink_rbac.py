"""
### Grant the driver's rights

Creates the namespace of the streams, the service account, its role and its binding. Then it asks
the API server to confirm each right that the driver needs, and each one it must not have. If
FINK_IMAGE_PULL_SECRET is set, it also creates that Secret from the connection `docker_default`, so
that the cluster can log in to the registry.

**When to run it:** once per cluster, or to change the mode. `fink_deploy` does the same in its
stage `rbac`.

**Safe to repeat:** yes. A second run changes nothing and says so.

**Success:** the API server confirms what is granted and what is denied.

**If it fails:** the log's last line names the right and the account that lacks it. The stage needs
the connection `kubernetes_admin`: an account can only grant rights that it has.
"""

from airflow.sdk import dag

from fink_k8s.core.stream.stream_request import RbacRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Grant the driver's rights, and check them",
    schedule=None,
    doc_md=__doc__,
    params=form_of(RbacRequest),
    tags=[Tag.STAGE],
    **DAG_DEFAULTS,
)
def fink_rbac():
    """Run the stage `rbac` alone."""
    stages.rbac()


fink_rbac()

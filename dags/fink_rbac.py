"""
### Grant the driver's rights

Makes the streams' namespace, the service account, its role and binding, and asks the API server
what they amount to: each right that the driver needs, and those it must not have. Where
FINK_IMAGE_PULL_SECRET names one, it makes the Secret by which the cluster logs in to the registry,
of the connection `docker_default`.

**When to run it:** once for a cluster, or to change the mode. `fink_deploy` does the same as its
stage `rbac`.

**Safe to repeat:** yes; a second run changes nothing and says so.

**Success:** the API server confirms what is granted and what is denied.

**If it fails:** the log's last line names the right and the account that lacks it. The stage needs
the connection `kubernetes_admin`: whoever grants a right must hold it.
"""

from airflow.sdk import dag

from fink_k8s.core.stream.stream_request import RbacRequest
from fink_k8s.glue import stages
from fink_k8s.glue.base.dag_defaults import DAG_DEFAULTS, Tag
from fink_k8s.glue.base.form import form_of


@dag(
    description="Grant the rights of the stream's driver, and check them",
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

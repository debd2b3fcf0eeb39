"""The stages of a bring-up, each a task or a task group; DAGs are chains of these.

A stage that the form skips ends as `skipped` and the chain goes on: every task's trigger rule is
`none_failed`.
"""

from fink_k8s.glue.stages.diagnose import diagnose_on_failure, diagnose_streams
from fink_k8s.glue.stages.health import look_at_streams
from fink_k8s.glue.stages.image import image
from fink_k8s.glue.stages.preflight import check_prerequisites
from fink_k8s.glue.stages.rbac import rbac
from fink_k8s.glue.stages.stop import stop_streams
from fink_k8s.glue.stages.store import prepare_store
from fink_k8s.glue.stages.submit import submit_stream, wait_for_first_batch, wait_until_healthy

__all__ = [
    "check_prerequisites",
    "diagnose_on_failure",
    "diagnose_streams",
    "image",
    "look_at_streams",
    "prepare_store",
    "rbac",
    "stop_streams",
    "submit_stream",
    "wait_for_first_batch",
    "wait_until_healthy",
]

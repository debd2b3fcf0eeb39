"""The stages of a bring-up, each a task or a task group; DAGs are chains of these.

A stage that the form skips ends as `skipped` and the chain goes on: every task's trigger rule is
`none_failed`.
"""

from fink_k8s.glue.stages.diagnose import diagnose_on_failure, diagnose_streams
from fink_k8s.glue.stages.health import look_at_streams
from fink_k8s.glue.stages.image import image
from fink_k8s.glue.stages.night import (
    drain_late_alerts,
    plan_night,
    prove_night,
    stop_night,
    submit_or_adopt,
    watch_until_end,
)
from fink_k8s.glue.stages.preflight import check_prerequisites
from fink_k8s.glue.stages.rbac import rbac
from fink_k8s.glue.stages.stop import stop_streams
from fink_k8s.glue.stages.store import prepare_store
from fink_k8s.glue.stages.submit import submit_stream, wait_for_first_batch, wait_until_healthy

__all__ = [
    "check_prerequisites",
    "diagnose_on_failure",
    "diagnose_streams",
    "drain_late_alerts",
    "image",
    "look_at_streams",
    "plan_night",
    "prepare_store",
    "prove_night",
    "rbac",
    "stop_night",
    "stop_streams",
    "submit_or_adopt",
    "submit_stream",
    "wait_for_first_batch",
    "wait_until_healthy",
    "watch_until_end",
]

"""The stages of a bring-up, each a task or a task group; DAGs are chains of these.

A stage skipped in the form ends as `skipped` and the chain continues: the trigger rule of every
task is `none_failed`.
"""

from fink_k8s.glue.diagnosis.diagnose_stage import diagnose_on_failure, diagnose_streams
from fink_k8s.glue.health.health_stage import report_health
from fink_k8s.glue.image.image_stage import image
from fink_k8s.glue.night.night_stages import (
    drain_late_alerts,
    plan_night,
    prove_night,
    stop_night,
    submit_or_adopt,
    watch_until_end,
)
from fink_k8s.glue.preflight.preflight_stage import check_prerequisites
from fink_k8s.glue.stop.stop_stage import stop_streams
from fink_k8s.glue.store.store_stage import prepare_store
from fink_k8s.glue.stream.rbac_stage import rbac
from fink_k8s.glue.stream.submit_stage import (
    submit_stream,
    wait_for_first_batch,
    wait_until_healthy,
)

__all__ = [
    "check_prerequisites",
    "diagnose_on_failure",
    "diagnose_streams",
    "drain_late_alerts",
    "image",
    "plan_night",
    "prepare_store",
    "prove_night",
    "rbac",
    "report_health",
    "stop_night",
    "stop_streams",
    "submit_or_adopt",
    "submit_stream",
    "wait_for_first_batch",
    "wait_until_healthy",
    "watch_until_end",
]

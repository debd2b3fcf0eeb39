"""
### Watch one stream in three ways

For `make bench-watch` alone: the same SparkApplication is submitted and watched by this project's
`WatchNightOperator`, and by the provider's `SparkKubernetesOperator`, blocking and deferrable.
"""

import json
from typing import Any

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk import Param, dag

from fink_k8s.glue.base.connections import ADMIN_CONNECTION
from fink_k8s.glue.base.run_values import RunValue, form_value
from fink_k8s.glue.night.watch_operator import WatchNightOperator

COMMON: dict[str, Any] = {
    "doc_md": __doc__,
    "params": {name: Param("", type="string") for name in ("manifest", "namespace", "until")},
    "default_args": {"retries": 0},
}


def make_provider_operator(*, deferrable: bool) -> None:
    """Add the provider's task, as it comes, but for the name that the manifest has."""
    SparkKubernetesOperator(
        task_id="watch",
        application_file="{{ params.manifest }}",
        namespace="{{ params.namespace }}",
        random_name_suffix=False,
        deferrable=deferrable,
        # Its own needs are not this project's: the rights of the streams' account do not bind it.
        kubernetes_conn_id=ADMIN_CONNECTION,
    )


@dag(schedule=None, **COMMON)
def bench_ours() -> None:
    """Watch by the trigger that all nights share."""
    # The provider's operators take it as text only, so that the form has it as text.
    manifest = RunValue("manifest", lambda context: json.loads(context["params"]["manifest"]))
    WatchNightOperator(task_id="watch", manifest=manifest, until=form_value("until"), restarts=0)


@dag(schedule=None, **COMMON)
def bench_provider_sync() -> None:
    """Watch in a worker."""
    make_provider_operator(deferrable=False)


@dag(schedule=None, **COMMON)
def bench_provider_deferred() -> None:
    """Watch by the provider's trigger."""
    make_provider_operator(deferrable=True)


bench_ours()
bench_provider_sync()
bench_provider_deferred()

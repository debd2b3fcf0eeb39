"""
### Watch one stream in three ways

Only for `make bench-watch`: the same SparkApplication is submitted and watched by this project's
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
    """Add the provider's task with its defaults, except that it keeps the manifest's name."""
    SparkKubernetesOperator(
        task_id="watch",
        application_file="{{ params.manifest }}",
        namespace="{{ params.namespace }}",
        random_name_suffix=False,
        deferrable=deferrable,
        # It needs more rights than the account that runs this project's streams has.
        kubernetes_conn_id=ADMIN_CONNECTION,
    )


@dag(schedule=None, **COMMON)
def bench_ours() -> None:
    """Watch by the trigger that all nights share."""
    # The provider's operators accept it only as text, so it is text in the form too.
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

"""Three ways to watch one application, for benchmarks/detect.py; `manifest` comes with the run."""

from datetime import UTC, datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk import DAG

from fink_k8s.glue.night_operators import WatchNightOperator

LATER = datetime(2100, 1, 1, tzinfo=UTC).isoformat()

with DAG("ours", schedule=None, catchup=False, params={"manifest": {}}):
    WatchNightOperator(
        task_id="watch",
        manifest="{{ params.manifest | tojson }}",
        until=LATER,
        restarts=0,
        execution_timeout=timedelta(hours=1),
    )

for name, deferrable in (("provider_sync", False), ("provider_deferred", True)):
    with DAG(
        name,
        schedule=None,
        catchup=False,
        params={"manifest": {}},
        render_template_as_native_obj=True,
    ):
        SparkKubernetesOperator(
            task_id="watch",
            template_spec="{{ params.manifest }}",
            namespace="{{ params.manifest['metadata']['namespace'] }}",
            kubernetes_conn_id="kubernetes_default",
            random_name_suffix=False,
            get_logs=False,
            deferrable=deferrable,
            delete_on_termination=False,
        )

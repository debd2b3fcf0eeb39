"""Submit a stream with plain spark-submit, for a cluster without the Spark Operator."""

from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from fink_k8s.core.stream.stream_request import IfDiffers, SubmitWith
from fink_k8s.core.stream.submit_conf import spark_submit_from
from fink_k8s.glue.base.connections import STREAMS_CONNECTION, cluster
from fink_k8s.glue.base.links import SparkUiLink
from fink_k8s.glue.base.task_failures import airflow_failures
from fink_k8s.glue.stream.submission import ensure_submitted
from fink_k8s.glue.stream.submit_operators import WaitsUntilRunning


class SparkSubmitStreamOperator(WaitsUntilRunning, SparkSubmitOperator):
    """Start or adopt the stream that `manifest` describes, with spark-submit in cluster mode.

    Unlike its parent, it neither waits for the driver's end nor kills it: the driver pod's name is
    fixed, so that a retry, another run or another DAG finds the same stream and adopts it. Nothing
    restarts a dead driver; trigger the DAG again to restart it on the same checkpoint.

    Spark comes from the distribution of `release` (empty: the current one) in the cache, Java from
    the worker, the cluster and the account from the Kubernetes connection.

    Returns to XCom: a dict of way (created, adopted, replaced), application, driver_pod.
    """

    template_fields = ("manifest", "release", "if_differs")
    operator_extra_links = (SparkUiLink(),)

    def __init__(
        self,
        *,
        manifest: Any,
        release: Any = "",
        if_differs: Any = IfDiffers.REFUSE,
        start_limit: timedelta = timedelta(minutes=10),
        kubernetes_conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.release = release
        self.if_differs = if_differs
        self.start_limit = start_limit
        self.kubernetes_conn_id = kubernetes_conn_id

    @property
    def stream(self) -> str:
        """Return the stream's name; once the fields are resolved."""
        return str(self.manifest["metadata"]["name"])

    def execute(self, context: Any) -> dict[str, str]:  # type: ignore[override]
        """Start or adopt; then wait in the triggerer, unless it is already running."""
        namespace = self.manifest["metadata"]["namespace"]
        with airflow_failures():
            spark_submit_from(self.manifest)
            submission = ensure_submitted(
                cluster(self.kubernetes_conn_id),
                self.manifest,
                SubmitWith.SPARK_SUBMIT,
                self.release,
                self.log,
                as_it_runs=self.if_differs == IfDiffers.ADOPT,
            )
        return self.wait(context, self.kubernetes_conn_id, namespace, submission.way)

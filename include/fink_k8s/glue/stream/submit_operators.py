"""Submit a stream: create or adopt it, wait until it runs, and leave it running."""

from datetime import timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.sdk import BaseOperator

from fink_k8s.adapters.stream.streams import Way, ensure_stream
from fink_k8s.core.health.goal_watch import Goal
from fink_k8s.core.stream.stream_names import driver_pod_name
from fink_k8s.core.stream.stream_request import IfDiffers
from fink_k8s.glue.base.connections import STREAMS_CONNECTION, cluster
from fink_k8s.glue.base.links import SparkUiLink
from fink_k8s.glue.base.task_failures import airflow_failures, check_outcome
from fink_k8s.glue.stream.stream_trigger import StreamTrigger, outcome_now


class WaitsUntilRunning(BaseOperator):
    """The end of both ways to submit: wait for the driver in the triggerer, leave it running."""

    start_limit: timedelta

    @property
    def stream(self) -> str:
        """Return the stream's name; once the fields are resolved."""
        raise NotImplementedError

    def wait(self, context: Any, conn_id: str, namespace: str, way: Way) -> dict[str, str]:
        """Defer until the driver runs, unless it is already running."""
        self.log.info("stream %s: %s", self.stream, way)
        with airflow_failures():
            event = outcome_now(conn_id, namespace, self.stream, Goal.RUNNING)
        if event is None:
            self.defer(
                trigger=StreamTrigger(conn_id, namespace, self.stream, Goal.RUNNING),
                method_name="resume",
                kwargs={"way": way.value},
                timeout=self.start_limit,
            )
        return self.resume(context, event, way.value)

    def resume(self, context: Any, event: dict[str, Any], way: str) -> dict[str, str]:
        """Continue after the trigger: the stream runs, or the task fails with the cause."""
        self.log.info("stream %s: %s", self.stream, check_outcome(event))
        return {
            "way": way,
            "application": self.stream,
            "driver_pod": driver_pod_name(self.stream),
        }

    def on_kill(self) -> None:
        """Leave the stream running; the provider's operators would stop it."""
        self.log.warning("the task was killed; stream %s continues to run", self.stream)


class SubmitStreamOperator(WaitsUntilRunning, SparkKubernetesOperator):
    """Create or adopt the SparkApplication `template_spec`; succeed when its driver runs.

    Unlike its parent, it neither waits for the driver's end nor deletes anything: whatever happens
    to the task, the stream keeps running. The application's name is fixed, so that a retry, another
    run or another DAG finds the same stream and adopts it. The same name with another spec is
    refused, unless `if_differs` is `adopt`. If the stream cannot start, the task fails with the
    cause.

    Returns to XCom: a dict of way (created, adopted, replaced), application, driver_pod.
    """

    template_fields = [*SparkKubernetesOperator.template_fields, "if_differs"]  # noqa: RUF012
    operator_extra_links = (SparkUiLink(),)

    def __init__(
        self,
        *,
        template_spec: Any,
        if_differs: Any = IfDiffers.REFUSE,
        start_limit: timedelta = timedelta(minutes=10),
        kubernetes_conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            template_spec=template_spec,
            kubernetes_conn_id=kubernetes_conn_id,
            random_name_suffix=False,
            reattach_on_restart=False,
            delete_on_termination=False,
            get_logs=False,
            do_xcom_push=True,
            **kwargs,
        )
        self.if_differs = if_differs
        self.start_limit = start_limit

    @property
    def stream(self) -> str:
        """Return the application's name; once the fields are resolved."""
        return str(self.template_spec["metadata"]["name"])

    def execute(self, context: Any) -> dict[str, str]:
        """Create or adopt; then wait in the triggerer, unless it is already running."""
        conn_id = str(self.kubernetes_conn_id)
        namespace = self.template_spec["metadata"]["namespace"]
        with airflow_failures():
            submission = ensure_stream(
                cluster(conn_id),
                self.template_spec,
                as_it_runs=self.if_differs == IfDiffers.ADOPT,
            )
        return self.wait(context, conn_id, namespace, submission.way)

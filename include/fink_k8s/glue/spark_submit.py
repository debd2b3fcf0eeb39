"""Submit a stream by plain spark-submit, for a cluster without the Spark Operator."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import DEFAULT_SPARK_BINARY, SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException

from fink_k8s.adapters.cluster import Cluster
from fink_k8s.adapters.distribution import ensure_distribution
from fink_k8s.adapters.spark_submit import prepared
from fink_k8s.adapters.streams import ensure_stream
from fink_k8s.core.diagnosis.submission import diagnose_submission, lost_the_race
from fink_k8s.core.errors import Conflict, StreamFailed
from fink_k8s.core.names import driver_pod_name
from fink_k8s.core.requests import SubmitWith
from fink_k8s.core.settings import load_settings
from fink_k8s.core.spark_submit import SparkSubmit, spark_submit_from
from fink_k8s.glue.connections import STREAMS_CONNECTION, cluster
from fink_k8s.glue.failures import airflow_failures
from fink_k8s.glue.links import SparkUiLink
from fink_k8s.glue.operators import WaitsUntilRunning
from fink_k8s.glue.steps import release_of


class KubernetesSparkSubmitHook(SparkSubmitHook):
    """The provider's hook, its master from the Kubernetes connection, its log without stacks."""

    def __init__(self, *, master: str, namespace: str, **kwargs: Any) -> None:
        self._master = (master, namespace)
        self.said: list[str] = []
        # Without it, the hook takes a driver that it need not wait for as failed.
        super().__init__(track_driver_via_k8s_api=True, **kwargs)

    def _resolve_connection(self) -> dict[str, Any]:
        master, namespace = self._master
        return {
            "master": master,
            "namespace": namespace,
            "deploy_mode": "cluster",
            "spark_binary": DEFAULT_SPARK_BINARY,
            "queue": None,
            "principal": None,
            "keytab": None,
        }

    def _process_spark_submit_log(self, itr: Iterator[Any]) -> None:
        """Log what is said but the frames of a stack; keep it for the diagnosis."""
        for line in (raw.strip() for raw in itr):
            if not line.startswith("at "):
                self.said.append(line)
                self.log.info("%s", line)


class SparkSubmitStreamOperator(WaitsUntilRunning, SparkSubmitOperator):
    """Start or adopt the stream that `manifest` describes, by spark-submit in cluster mode.

    Unlike its parent it neither waits for the driver's end nor kills it: the driver pod's name is
    fixed, so that a retry, another run or another DAG finds the same stream and adopts it. Nobody
    starts a dead driver again; triggering again does, on the same checkpoint.

    Spark comes from the distribution of `release` (empty: the current one) in the cache, Java from
    the worker, the cluster and the account from the Kubernetes connection.

    Returns to XCom: a dict of way (created, adopted, replaced), application, driver_pod.
    """

    template_fields = ("manifest", "release")
    operator_extra_links = (SparkUiLink(),)

    def __init__(
        self,
        *,
        manifest: Any,
        release: str = "",
        start_limit: timedelta = timedelta(minutes=10),
        kubernetes_conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.release = release
        self.start_limit = start_limit
        self.kubernetes_conn_id = kubernetes_conn_id

    @property
    def stream(self) -> str:
        """Return the stream's name; once the manifest is rendered."""
        return str(self.manifest["metadata"]["name"])

    def execute(self, context: Any) -> dict[str, str]:  # type: ignore[override]
        """Start or adopt; then wait in the triggerer, unless it runs already."""
        namespace = self.manifest["metadata"]["namespace"]
        with airflow_failures():
            submit = spark_submit_from(self.manifest)
            there = cluster(self.kubernetes_conn_id)
            submission = ensure_stream(
                there,
                self.manifest,
                SubmitWith.SPARK_SUBMIT,
                create=lambda: self._start(submit, there, namespace),
            )
        return self.wait(context, self.kubernetes_conn_id, namespace, submission.way)

    def _start(self, submit: SparkSubmit, there: Cluster, namespace: str) -> dict[str, Any]:
        """Run spark-submit, and return the driver pod that came of it."""
        home = ensure_distribution(load_settings(), release_of(self.release), say=self.log.info)
        for reason in submit.unsaid:
            self.log.warning("%s", reason)
        with prepared(submit, there.access(), home) as ready:
            hook = KubernetesSparkSubmitHook(
                master=ready.master,
                namespace=namespace,
                name=submit.name,
                conf=dict(ready.conf),
                application_args=list(submit.arguments),
            )
            try:
                hook.submit(submit.application, env=dict(ready.environment))
            except AirflowException as error:
                said = "\n".join(hook.said)
                if lost_the_race(said):
                    raise Conflict(f"driver {driver_pod_name(submit.name)} is there") from error
                found = diagnose_submission(said)
                raise StreamFailed(str(found), diagnosis=found) from None
        pod = there.find("Pod", driver_pod_name(submit.name), namespace)
        if pod is None:
            raise StreamFailed(
                f"spark-submit says that it started {submit.name}, but its driver is not there; "
                "trigger again",
                retryable=True,
            )
        return pod

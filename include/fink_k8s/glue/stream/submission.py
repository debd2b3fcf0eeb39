"""Start a stream, with either way to submit it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import DEFAULT_SPARK_BINARY, SparkSubmitHook
from airflow.sdk.exceptions import AirflowException

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.distribution import ensure_distribution
from fink_k8s.adapters.stream.streams import Submission, ensure_stream
from fink_k8s.adapters.stream.submit_environment import prepared
from fink_k8s.core.base.errors import Conflict, StreamFailed
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.diagnosis.submit_output import diagnose_submission, lost_the_race, may_pass
from fink_k8s.core.stream.stream_names import driver_pod_name
from fink_k8s.core.stream.stream_request import SubmitWith
from fink_k8s.core.stream.submit_conf import spark_submit_from
from fink_k8s.glue.base.steps import release_of


def ensure_submitted(
    there: Cluster,
    manifest: dict[str, Any],
    submit_with: SubmitWith,
    release: str,
    log: Any,
    *,
    as_it_runs: bool = False,
) -> Submission:
    """Start the stream in the requested way, or adopt it; see `ensure_stream`."""
    create = None
    if submit_with is SubmitWith.SPARK_SUBMIT:
        create = partial(start_by_spark_submit, manifest, release, there, log)
    return ensure_stream(there, manifest, submit_with, create, as_it_runs=as_it_runs)


class KubernetesSparkSubmitHook(SparkSubmitHook):
    """The provider's hook, with the Kubernetes connection's master, and no stacks in the log."""

    def __init__(self, *, master: str, namespace: str, **kwargs: Any) -> None:
        self._master = (master, namespace)
        self.said: list[str] = []
        # Without it, the hook considers a driver that it does not wait for as failed.
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
        """Log the output without stack frames, and keep it for the diagnosis."""
        for line in (raw.strip() for raw in itr):
            if not line.startswith("at "):
                self.said.append(line)
                self.log.info("%s", line)


def start_by_spark_submit(
    manifest: dict[str, Any], release: str, there: Cluster, log: Any
) -> dict[str, Any]:
    """Run spark-submit for `manifest`, and return the new driver pod.

    Raises:
        Conflict: a driver of that name already exists.
        StreamFailed: it failed; the message names the cause and the remedy.
    """
    namespace = manifest["metadata"]["namespace"]
    submit = spark_submit_from(manifest)
    home = ensure_distribution(load_settings(), release_of(release), say=log.info)
    for reason in submit.unsaid:
        log.warning("%s", reason)
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
                raise Conflict(f"driver {driver_pod_name(submit.name)} already exists") from error
            found = diagnose_submission(said)
            raise StreamFailed(str(found), retryable=may_pass(said)) from None
    pod = there.find("Pod", driver_pod_name(submit.name), namespace)
    if pod is None:
        raise StreamFailed(
            f"spark-submit reported that it started {submit.name}, but its driver does not exist; "
            "trigger again",
            retryable=True,
        )
    return pod

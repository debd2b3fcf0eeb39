"""Stop a stream that runs with another spec, so that it can be started with the new one."""

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.adapters.stream.streams import holders
from fink_k8s.core.stream.manifests import hash_of
from fink_k8s.core.stream.states import is_over
from fink_k8s.core.stream.stream_request import IfDiffers
from fink_k8s.glue.base.connections import cluster
from fink_k8s.glue.base.task_failures import airflow_failures
from fink_k8s.glue.stop.stop_operator import StopStreamOperator


class EndOtherSpecOperator(StopStreamOperator):
    """Stop a running stream with another spec, if the form asks for an upgrade.

    It is skipped if no stream runs, if the stream has the requested spec, or if the form does not
    ask for an upgrade.
    """

    template_fields = (*StopStreamOperator.template_fields, "manifest", "if_differs")

    def __init__(self, *, manifest: Any, if_differs: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.if_differs = if_differs

    def execute(self, context: Any) -> dict[str, Any]:
        """Stop the stream if its spec differs."""
        if self.if_differs != IfDiffers.UPGRADE:
            raise AirflowSkipException(
                f"if_differs is {self.if_differs}, so a stream with another spec is not stopped"
            )
        with airflow_failures():
            namespace = self.manifest["metadata"]["namespace"]
            found = holders(cluster(self.conn_id), namespace, self.stream)
        alive = [one for one in found if not is_over(one.state)]
        if all(hash_of(one.there) == hash_of(self.manifest) for one in alive):
            raise AirflowSkipException("no stream with another spec is running")
        return super().execute(context)

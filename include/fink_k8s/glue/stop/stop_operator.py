"""Stop one stream in any state, and confirm that nothing of it is left."""

import time
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowNotFoundException

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stop.stop_pursuit import Witness, kept_of, pursue, remains_of
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.stop.stop_course import Course, Step
from fink_k8s.core.stop.stop_outcome import outcome_of
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.stream_names import parse_stream_name
from fink_k8s.glue.base.connections import STREAMS_CONNECTION, cluster, store, stream_settings
from fink_k8s.glue.base.task_failures import airflow_failures, failure_of
from fink_k8s.glue.health.health_notes import HEALTH, note_stop
from fink_k8s.glue.stop.stop_trigger import StopTrigger, event_of

# Most streams end before a trigger could take over; the worker then sees the whole end, including
# the exit code.
WORKER_SECONDS = 12.0
# Longer than the longest limit plus its reserve; only a broken triggerer takes longer.
LONGEST_WAIT = timedelta(minutes=28)


class StopStreamOperator(BaseOperator):
    """Stop `stream`; succeed when nothing of it is left in the cluster.

    It works for every state and for both ways of submission: it asks the driver to end, deletes
    the application (if there is one) so that the driver is not restarted, and waits until their
    dependent objects are gone. It never touches data or checkpoint. `manner` holds fields of
    `StopManner`; all have defaults. A stream that does not exist is a success.

    It records the stop for `fink_health`, so that the stream's end raises no alarm. After a few
    seconds it waits in the triggerer and holds no worker. Killing the task undoes nothing: a driver
    that was asked to end still ends.

    Returns to XCom: the fields of `StopOutcome`: stream, was, ending (graceful, unproved, abrupt,
    killed, no-driver, already-so), seconds, exit_code, said, removed, kept, line.
    """

    template_fields: tuple[str, ...] = ("stream", "manner")

    def __init__(
        self,
        *,
        stream: Any,
        manner: Any = None,
        conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        # Airflow gives access to the notes only to tasks that have them as an inlet.
        super().__init__(**{"inlets": [HEALTH], **kwargs})
        self.stream = stream
        self.manner = manner or {}
        self.conn_id = conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        """Ask the stream to end; then wait in the triggerer, unless it has ended already."""
        with airflow_failures():
            parse_stream_name(self.stream)
            manner = StopManner.model_validate(self.manner)
            namespace = load_settings().namespace
            note_stop(namespace, [self.stream], utc_now())
            target = cluster(self.conn_id)
            course, step = begin_stop(target, namespace, self.stream, manner, self.log)
        if not step.is_last:
            self.defer(
                trigger=StopTrigger(
                    self.conn_id,
                    namespace,
                    course.model_dump(mode="json"),
                    manner.model_dump(mode="json"),
                ),
                method_name="resume",
                timeout=LONGEST_WAIT,
            )
        return self.resume(context, event_of(course, step))

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome, or fail with the names of what remains."""
        course = Course.model_validate(event["course"])
        if not event["is_done"]:
            raise failure_of(str(event["reason"]), retryable=False)
        seconds = (utc_now() - course.began).total_seconds()
        with airflow_failures():
            settings = stream_settings(course.stream).at_store(course.store_prefix)
            prefix = settings.store_prefix
            target = cluster(self.conn_id)
            kept = kept_of(target, settings.namespace, course.stream, _store_of(settings), prefix)
        outcome = outcome_of(course, kept, seconds)
        self.log.info("%s", outcome.line)
        return outcome.model_dump(mode="json")

    def on_kill(self) -> None:
        """Change nothing: a stream that was asked to end still ends."""
        self.log.warning(
            "the task was killed; run it again to confirm that stream %s is gone", self.stream
        )


def begin_stop(
    target: Cluster, namespace: str, stream: str, manner: StopManner, log: Any
) -> tuple[Course, Step]:
    """Ask a stream to end, wait briefly, and return the progress."""
    course = Course.of(stream, remains_of(target, namespace, stream), utc_now())
    witness = Witness(target, namespace)
    deadline = time.monotonic() + WORKER_SECONDS
    said = ""
    try:
        while True:
            course, step = pursue(target, namespace, course, manner, witness, utc_now())
            if (line := f"{step.action}: {step.reason}") != said:
                said = line
                log.info("%s: %s", stream, said)
            if step.is_last or time.monotonic() > deadline:
                return course, step
            time.sleep(1)
    finally:
        witness.close()


def _store_of(settings: Settings) -> Store | None:
    """Return the store, or None if Airflow has no access to it."""
    try:
        return store(settings)
    except (AirflowNotFoundException, FinkError):
        return None

"""Wait until a stream is healthy, and until it stores alerts."""

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from fink_k8s.adapters.store.row_counts import count_night
from fink_k8s.adapters.stream.streams import observe
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.health.goal_watch import Goal
from fink_k8s.core.health.stream_health import HealthVerdict, assess
from fink_k8s.glue.base.connections import STREAMS_CONNECTION, cluster, store, stream_settings
from fink_k8s.glue.base.links import SparkUiLink
from fink_k8s.glue.base.task_failures import airflow_failures, check_outcome, failure_of
from fink_k8s.glue.stream.stream_trigger import StreamTrigger, outcome_now


class StreamHealthSensor(BaseSensorOperator):
    """Succeed when the stream's query is alive; fail with the cause if it cannot be.

    Health is application state x driver pod x the query's own gauges: a dead query under a
    Running driver is unhealthy, a live query on a quiet topic is healthy. It waits in the
    triggerer and holds no worker.
    """

    template_fields = ("stream", "namespace")
    operator_extra_links = (SparkUiLink(),)

    def __init__(
        self,
        *,
        stream: Any,
        namespace: str = "",
        # A sensor that timed out is not retried; only an unreachable cluster takes this long.
        limit: timedelta = timedelta(minutes=25),
        conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stream = stream
        self.namespace = namespace
        self.limit = limit
        self.conn_id = conn_id

    def execute(self, context: Any) -> str:
        """Look once; then wait in the triggerer, unless there is already an outcome."""
        with airflow_failures():
            where = (self.conn_id, self.namespace or load_settings().namespace, self.stream)
            event = outcome_now(*where, Goal.HEALTHY)
        if event is None:
            self.defer(
                trigger=StreamTrigger(*where, Goal.HEALTHY),
                method_name="resume",
                timeout=self.limit,
            )
        return self.resume(context, event)

    def resume(self, context: Any, event: dict[str, Any]) -> str:
        """Continue after the trigger; return the line with the reason for being healthy."""
        reason = check_outcome(event)
        self.log.info("stream %s: healthy, %s", self.stream, reason)
        return reason


class FirstBatchSensor(BaseSensorOperator):
    """Succeed when the stream has committed a batch to the raw store; return its counts.

    Rows are counted in the store. If Airflow has no access to it, the driver's log is used instead;
    the log and the result's `counted_by` have the source.

    Fail at once if the stream has died. With a quiet topic nothing is committed, so the sensor
    times out.
    """

    template_fields = ("stream",)

    def __init__(self, *, stream: Any, conn_id: str = STREAMS_CONNECTION, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.stream = stream
        self.conn_id = conn_id

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        with airflow_failures():
            settings = stream_settings(self.stream)
            where = (cluster(self.conn_id), settings.namespace, self.stream)
            count = count_night(lambda: store(settings), *where)
            health = assess(observe(*where))
        if count.counts.batches:
            self.log.info("%s", count)
            return PokeReturnValue(
                True, {**count.counts.as_dict(), "counted_by": count.source.value}
            )
        if health.verdict in {HealthVerdict.FAILED, HealthVerdict.ABSENT, HealthVerdict.ENDED}:
            raise failure_of(f"no batch was committed: {health.reason}", retryable=False)
        self.log.info("no batch has been committed yet; %s", count.why or health.reason)
        return PokeReturnValue(False)

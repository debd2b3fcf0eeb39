"""Watch a night's stream until its end, and restart it if it dies.

`next_move` decides what to do next (core/night/night_moves.py).
"""

from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stream.streams import APPLICATION_KIND, holders
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.night.night_moves import (
    Death,
    EndRemains,
    FinishWatch,
    GiveUpWatch,
    PauseEnds,
    PauseThenRestart,
    RemainsEnd,
    Situation,
    StartNow,
    TryBegins,
    WatchEnds,
    WatchOn,
    WatchRules,
    next_move,
)
from fink_k8s.core.night.night_request import WhenKilled
from fink_k8s.core.night.watch_event import Sign, WatchEvent
from fink_k8s.core.stop.remains import is_alive
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.stream_names import driver_pod_name
from fink_k8s.core.stream.stream_request import SubmitWith
from fink_k8s.glue.base.connections import STREAMS_CONNECTION, cluster
from fink_k8s.glue.base.links import SparkUiLink
from fink_k8s.glue.base.task_failures import airflow_failures, failure_of
from fink_k8s.glue.health.health_notes import HEALTH, HealthNotes
from fink_k8s.glue.night.night_trigger import NightTrigger
from fink_k8s.glue.night.watch_memory import WatchMemory
from fink_k8s.glue.stop.stop_operator import LONGEST_WAIT, begin_stop
from fink_k8s.glue.stop.stop_trigger import StopTrigger, event_of
from fink_k8s.glue.stream.submission import ensure_submitted

# The stream has already died; a driver that only lost its query gets half a minute.
_BEFORE_RESTART = StopManner(limit_s=30, then_at_once=True)
# A trigger that has not fired by then has no triggerer.
_OVERTIME = timedelta(hours=1)


class WatchNightOperator(BaseOperator):
    """Watch the stream of `manifest` until `until`; restart it if it dies.

    It is deferred all the time. Whatever happens to the task, its worker, the scheduler or the
    triggerer, the stream keeps running, and the next try adopts it. If the Spark Operator has given
    up a stream, or its query is dead under a running driver, the operator stops it and restarts it
    unchanged on the same checkpoint: after a pause, and at most `restarts` times in a row. No
    driver is started while another one may be alive.

    Args:
        manifest: the SparkApplication, a dict.
        until: when the watch ends, ISO 8601 with a zone.
        release: the release for spark-submit; empty for the current one.
        submit_with: a `SubmitWith`.
        restarts: the maximum number of restarts in a row.
        when_killed: a `WhenKilled`: what happens to the stream if a person kills the task.
        conn_id: the Kubernetes connection.

    Returns to XCom: a dict of sign, reason, ended_at (ISO), restarts (the fields of `Restart`),
    lag (alerts; None if not measured).
    """

    template_fields: tuple[str, ...] = (
        *("manifest", "release", "submit_with", "restarts", "until", "when_killed"),
    )
    operator_extra_links = (SparkUiLink(),)
    is_night_over = False

    def __init__(
        self,
        *,
        manifest: Any,
        until: Any,
        release: Any = "",
        submit_with: Any = SubmitWith.SPARK_OPERATOR,
        restarts: Any = 3,
        when_killed: Any = WhenKilled.LEAVE,
        conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        # Airflow gives access to the notes only to tasks that have them as an inlet.
        super().__init__(**{"inlets": [HEALTH], **kwargs})
        self.manifest = manifest
        self.until = until
        self.release = release
        self.submit_with = submit_with
        self.restarts = restarts
        self.when_killed = when_killed
        self.conn_id = conn_id

    @property
    def stream(self) -> str:
        """Return the stream's name; once the fields are resolved."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Return the stream's namespace."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def deadline(self) -> datetime:
        """Return when the task is over at the latest."""
        return datetime.fromisoformat(self.until)

    @property
    def rules(self) -> WatchRules:
        """Return the rules that decide on the moves."""
        return WatchRules(
            self.manifest, SubmitWith(self.submit_with), self.restarts, self.is_night_over
        )

    def trigger(self) -> NightTrigger:
        """Return the trigger to wait for."""
        return NightTrigger(
            self.conn_id,
            self.namespace,
            self.stream,
            self.deadline.isoformat(),
            when_killed=self.when_killed,
        )

    def execute(self, context: Any) -> dict[str, Any]:
        """Adopt the stream as it is, or start it."""
        memory = WatchMemory(context)
        if not memory.has_begun:
            memory.begin(self._begins(context))
        with airflow_failures():
            found = holders(self._cluster(), self.namespace, self.stream)
        return self._carry_out(context, TryBegins(bool(found)), asked_to_end=self._asked())

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Continue after the trigger: the end, or a death."""
        seen = WatchEvent.model_validate(event)
        # Request only what the move depends on: a failure here is retried, and a new try would
        # start a stream that was stopped.
        asked = self._asked() if self.rules.asks_notes(seen) else None
        with airflow_failures():
            there = self._application() if seen.sign is Sign.DIED and seen.holder else None
        return self._carry_out(context, WatchEnds(seen, there), asked_to_end=asked)

    def resume_after_pause(self, context: Any, event: Any, death: dict[str, Any]) -> dict[str, Any]:
        """Continue after the pause before a restart."""
        with airflow_failures():
            there = self._cluster()
            found = holders(there, self.namespace, self.stream)
            driver = there.find("Pod", driver_pod_name(self.stream), self.namespace)
        situation = PauseEnds(
            Death.model_validate(death),
            holders=frozenset(one.there["metadata"]["uid"] for one in found),
            living_born=_born(driver) if driver and is_alive(driver) else None,
        )
        return self._carry_out(context, situation, asked_to_end=self._asked())

    def resume_start(
        self, context: Any, event: dict[str, Any], death: dict[str, Any]
    ) -> dict[str, Any]:
        """Continue after the remains of the dead stream were stopped, or could not be."""
        if not event["is_done"]:
            self.log.warning("%s", event["reason"])  # the start is refused while a driver lives
        situation = RemainsEnd(Death.model_validate(death))
        return self._carry_out(context, situation, asked_to_end=self._asked())

    def on_kill(self) -> None:
        """Leave the stream running; a deferred task runs its trigger's `on_kill` instead."""
        self.log.warning("the task was killed; stream %s continues to run", self.stream)

    def _carry_out(
        self, context: Any, situation: Situation, *, asked_to_end: datetime | None
    ) -> dict[str, Any]:
        """Carry out the next move: return the result, defer, or fail."""
        memory = WatchMemory(context)
        record = memory.record(asked_to_end)
        match next_move(situation, record, self.rules, utc_now()):
            case WatchOn(why):
                if why:
                    self.log.info("stream %s: %s", self.stream, why)
                self._watch(context)
            case PauseThenRestart(death, pause, since):
                WatchMemory(context).keep_pending(death.manifest, since)
                self._pause(death, pause)
            case EndRemains(death):
                return self._end_remains(context, death)
            case StartNow(manifest, cause):
                self._start(context, manifest, cause, is_pending=record.pending is not None)
            case FinishWatch(event):
                self.log.info("stream %s: %s; %s", self.stream, event.sign, event.reason)
                memory.forget()
                return self._result(event)
            case GiveUpWatch(reason):
                memory.forget()
                raise failure_of(reason, retryable=False)

    def _watch(self, context: Any) -> NoReturn:
        # The start is done, or no longer this task's.
        WatchMemory(context).forget_pending()
        self.defer(
            trigger=self.trigger(),
            method_name="resume",
            timeout=max(self.deadline - utc_now(), timedelta(0)) + _OVERTIME,
        )

    def _pause(self, death: Death, pause: timedelta) -> NoReturn:
        self.log.warning(
            "stream %s died: %s; restarting it in %.0f s",
            self.stream, death.reason, pause.total_seconds(),
        )  # fmt: skip
        self.defer(
            trigger=DateTimeTrigger(moment=utc_now() + pause),
            method_name="resume_after_pause",
            kwargs={"death": death.model_dump(mode="json")},
            timeout=pause + _OVERTIME,
        )

    def _end_remains(self, context: Any, death: Death) -> dict[str, Any]:
        kept = death.model_dump(mode="json")
        with airflow_failures():
            where = (self._cluster(), self.namespace, self.stream)
            course, step = begin_stop(*where, _BEFORE_RESTART, self.log)
        if step.is_last:
            return self.resume_start(context, event_of(course, step), kept)
        self.defer(
            trigger=StopTrigger(
                self.conn_id,
                self.namespace,
                course.model_dump(mode="json"),
                _BEFORE_RESTART.model_dump(mode="json"),
            ),
            method_name="resume_start",
            kwargs={"death": kept},
            timeout=LONGEST_WAIT,
        )

    def _start(
        self, context: Any, manifest: dict[str, Any], cause: str, *, is_pending: bool
    ) -> NoReturn:
        """Start the stream, or adopt it with any spec: earlier tasks have decided on the spec."""
        if not is_pending:
            # A try that dies in the middle leaves an incomplete driver: the next try starts again.
            WatchMemory(context).keep_pending(manifest, utc_now())
        with airflow_failures():
            done = ensure_submitted(
                self._cluster(),
                manifest,
                SubmitWith(self.submit_with),
                self.release,
                self.log,
                as_it_runs=True,
            )
        WatchMemory(context).begin(utc_now())
        if cause:
            self.log.warning("stream %s: %s again: %s", self.stream, done.way, cause)
        else:
            self.log.info("stream %s: %s", self.stream, done.way)
        self._watch(context)

    def _result(self, event: WatchEvent) -> dict[str, Any]:
        told = event.model_dump(mode="json", include={"sign", "reason", "restarts", "lag"})
        return {**told, "ended_at": utc_now().isoformat()}

    def _begins(self, context: Any) -> datetime:
        return utc_now()

    def _asked(self) -> datetime | None:
        """Return when the stream was last asked to end, by fink_stop or at a night's end."""
        return HealthNotes(self.namespace).asked(self.stream)

    def _application(self) -> KubernetesObject | None:
        return self._cluster().find(APPLICATION_KIND, self.stream, self.namespace)

    def _cluster(self) -> Cluster:
        return cluster(self.conn_id)


def _born(driver: KubernetesObject) -> datetime:
    return datetime.fromisoformat(driver["metadata"]["creationTimestamp"])

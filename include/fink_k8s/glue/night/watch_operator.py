"""Run a night's stream until its end: watch it, start it again where it died, and drain it."""

import json
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stream.streams import APPLICATION_KIND, Submission, holders
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.names import ANNOTATION_SPEC_HASH
from fink_k8s.core.night.restart_log import UNSEEN
from fink_k8s.core.night.watch_event import ENDED_BY_SOMEBODY, Sign, WatchEvent
from fink_k8s.core.stop.remains import is_alive
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.manifests import hash_of, spec_hash
from fink_k8s.core.stream.restarts import (
    Restart,
    RestartedBy,
    crash_loop,
    pause_before,
    started_again,
)
from fink_k8s.core.stream.states import is_over
from fink_k8s.core.stream.stream_names import driver_pod_name
from fink_k8s.core.stream.stream_request import IfDiffers, SubmitWith
from fink_k8s.glue.base.connections import STREAMS_CONNECTION, cluster
from fink_k8s.glue.base.links import SparkUiLink
from fink_k8s.glue.base.task_failures import airflow_failures, failure_of
from fink_k8s.glue.health.health_notes import HEALTH, was_stopped
from fink_k8s.glue.night.night_trigger import NightTrigger
from fink_k8s.glue.stop.stop_operator import LONGEST_WAIT, StopStreamOperator, begin_stop
from fink_k8s.glue.stop.stop_trigger import StopTrigger, event_of
from fink_k8s.glue.stream.submission import ensure_submitted

# What is started again has died already; a driver that only lost its query gets half a minute.
_BEFORE_RESTART = StopManner(limit_s=30, then_at_once=True)
# A trigger that has not fired by then has no triggerer.
_OVERTIME = timedelta(hours=1)
# The key of what is to be started, in the state of the task (AIP-103): it outlives a worker that
# dies when the dead stream, which told its history, is gone and the new one is not there yet.
_PENDING = "to_be_started"
# Since when an order to stop is meant for the stream that is watched: an earlier one was not.
_BEGUN = "begun"
_LONGEST_DRAIN = timedelta(days=2)


class WatchNightOperator(BaseOperator):
    """Watch the stream of `manifest` until the moment `until`; start it again where it died.

    Both come as text, through templates: the manifest as JSON, the moment as ISO.

    It defers all the time. Whatever happens to the task, to its worker, the scheduler or the
    triggerer, the stream goes on, and the next try adopts it. Where the Spark Operator has given a
    stream up, or its query is dead under a running driver, it is brought to its end and started
    anew as it was, on the same checkpoint: after a pause, and only as often in a row as `restarts`
    says. No driver is started while another one may still live.

    Returns to XCom: a dict of sign, reason, ended_at (ISO), restarts (the fields of `Restart`),
    lag (alerts; None where nobody asked).
    """

    template_fields: tuple[str, ...] = (
        *("manifest", "release", "submit_with", "restarts", "until", "when_killed"),
    )
    operator_extra_links = (SparkUiLink(),)

    def __init__(
        self,
        *,
        manifest: str,
        until: str,
        release: str = "",
        submit_with: str = SubmitWith.SPARK_OPERATOR,
        restarts: int | str = 3,
        when_killed: str = "leave",
        conn_id: str = STREAMS_CONNECTION,
        **kwargs: Any,
    ) -> None:
        # Airflow gives the notes to those alone that name them as an inlet.
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
        """Return the stream's name; once the template is rendered."""
        return str(self._application["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Return the stream's namespace."""
        return str(self._application["metadata"]["namespace"])

    @property
    def deadline(self) -> datetime:
        """Return when the task is over at the latest."""
        return datetime.fromisoformat(self.until)

    def trigger(self) -> NightTrigger:
        """Return what is waited for."""
        return NightTrigger(
            self.conn_id,
            self.namespace,
            self.stream,
            self.deadline.isoformat(),
            when_killed=self.when_killed,
        )

    def execute(self, context: Any) -> dict[str, Any]:
        """Take the stream as it is; one that an earlier try was about to start is started.

        One that is dead is the trigger's to tell: it starts again by this policy, or not at all.
        """
        pending = self._pending(context)
        if pending and self._was_asked_to_end(pending["since"]):
            context["task_state_store"].delete(_PENDING)
            return self._take_up(context, _ended(_UNTOLD))
        with airflow_failures():
            there = self._cluster()
            if pending or not holders(there, self.namespace, self.stream):
                manifest = pending["manifest"] if pending else self._application
                # A try that dies in the middle leaves a driver that is not whole: it begins anew.
                self._keep_pending(context, manifest)
                submission = self._start(context, there, manifest)
                self.log.info("stream %s: %s", self.stream, submission.way)
        return self._watch(context)

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Take up where the trigger left: the end, or a death."""
        return self._take_up(context, self._explained(context, event))

    def _take_up(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return the result, start the dead stream again, or fail."""
        reason = str(event["reason"])
        match Sign(event["sign"]):
            case Sign.TIME_IS_UP | Sign.DRAINED:
                self.log.info("stream %s: %s; %s", self.stream, event["sign"], reason)
                return self._result(event)
            case Sign.DIED:
                return self._pause(context, event)
        raise failure_of(reason, retryable=False)

    def _explained(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event, its sign told by who took the stream away where nothing of it is left.

        An application stays when its driver dies, so that one which is missing was deleted by
        somebody. A driver without one leaves nothing: it has died unless its end was asked for.
        """
        is_one_of_two = Sign(event["sign"]) in {Sign.DIED, Sign.GONE} and not event["holder"]
        if not is_one_of_two or self.submit_with != SubmitWith.SPARK_SUBMIT:
            return event
        if self._was_stopped(context, event):
            return _ended(event)
        if event["sign"] == Sign.DIED:
            return event
        # Whoever has not seen it live takes it to have lived: a crash loop is seen.
        lived = event["lived_s"] or (utc_now() - self._begun(context, event)).total_seconds()
        return {**event, "sign": Sign.DIED, "reason": UNSEEN, "lived_s": lived}

    def _was_stopped(self, context: Any, event: dict[str, Any]) -> bool:
        """Tell whether a stream that leaves no trace was asked to end since it was begun.

        An earlier order was meant for an earlier driver, which an upgrade, say, has ended.
        """
        if self.submit_with != SubmitWith.SPARK_SUBMIT:
            return False
        return self._was_asked_to_end(self._begun(context, event).isoformat())

    def _was_asked_to_end(self, since: str) -> bool:
        return was_stopped(self.namespace, self.stream, datetime.fromisoformat(since))

    @staticmethod
    def _begun(context: Any, event: dict[str, Any]) -> datetime:
        """Return when the driver that was seen last was made; of none, when this task began."""
        return datetime.fromisoformat(event["born"] or context["task_state_store"].get(_BEGUN))

    def resume_after_pause(self, context: Any, event: Any, death: dict[str, Any]) -> dict[str, Any]:
        """Bring what is left of the dead stream to its end, unless it has been replaced."""
        if self._was_stopped(context, death):
            return self._take_up(context, _ended(death))
        with airflow_failures():
            there = self._cluster()
            if self._has_other_driver(there, death):
                self.log.info("stream %s has a new driver already", self.stream)
                return self._watch(context)
            found = holders(there, self.namespace, self.stream)
            left = {one.there["metadata"]["uid"] for one in found}
            holder = death["holder"]
            is_the_one = holder in left if holder else not left
            if not is_the_one:
                # Somebody has started it anew, or ended it; both are theirs to decide.
                self.log.info("stream %s is no longer the one that died", self.stream)
                return self._watch(context)
            course, step = begin_stop(there, self.namespace, self.stream, _BEFORE_RESTART, self.log)
        if step.is_last:
            return self.resume_start(context, event_of(course, step), death)
        self.defer(
            trigger=StopTrigger(
                self.conn_id,
                self.namespace,
                course.model_dump(mode="json"),
                _BEFORE_RESTART.model_dump(mode="json"),
            ),
            method_name="resume_start",
            kwargs={"death": death},
            timeout=LONGEST_WAIT,
        )

    def _has_other_driver(self, there: Cluster, death: dict[str, Any]) -> bool:
        """Tell whether a driver lives that is younger than the one that died: the operator's."""
        driver = there.find("Pod", driver_pod_name(self.stream), self.namespace)
        if not death["born"] or driver is None or not is_alive(driver):
            return False
        return bool(driver["metadata"]["creationTimestamp"] > death["born"])

    def resume_start(
        self, context: Any, event: dict[str, Any], death: dict[str, Any]
    ) -> dict[str, Any]:
        """Start the stream anew, its history with it; refused where a driver still lives."""
        if not event["is_done"]:
            self.log.warning("%s", event["reason"])
        with airflow_failures():
            submission = self._start(context, self._cluster(), death["manifest"])
        self.log.warning("stream %s: %s again: %s", self.stream, submission.way, death["reason"])
        return self._watch(context)

    def on_kill(self) -> None:
        """Leave the stream alone; what is deferred asks its trigger."""
        self.log.warning("the task was killed; stream %s goes on", self.stream)

    def _pause(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Wait before the next start, if there is to be one."""
        with airflow_failures():
            ran = self._as_it_ran(event)
        history = [Restart.model_validate(one) for one in event["restarts"]]
        lived = timedelta(seconds=event["lived_s"])
        pause = pause_before(history, lived, int(self.restarts))
        if pause is None:
            raise failure_of(
                f"{crash_loop(history, event['reason'])} The stream was left as it is; trigger "
                "fink_night again when the cause is mended",
                retryable=False,
            )
        restart = Restart(
            at=utc_now(), cause=event["reason"], by=RestartedBy.FINK, lived_s=event["lived_s"]
        )
        manifest = started_again(ran, [*history, restart])
        self.log.warning(
            "stream %s died: %s; it is started again in %.0f s",
            self.stream, event["reason"], pause.total_seconds(),
        )  # fmt: skip
        self._keep_pending(context, manifest)
        self.defer(
            trigger=DateTimeTrigger(moment=utc_now() + pause),
            method_name="resume_after_pause",
            kwargs={"death": {**event, "manifest": manifest}},
            timeout=pause + _OVERTIME,
        )

    def _watch(self, context: Any) -> dict[str, Any]:
        # It is done, or no longer ours to do.
        context["task_state_store"].delete(_PENDING)
        self._begin(context, utc_now())
        self.defer(
            trigger=self.trigger(),
            method_name="resume",
            timeout=max(self.deadline - utc_now(), timedelta(0)) + _OVERTIME,
        )

    def _result(self, event: dict[str, Any]) -> dict[str, Any]:
        return {
            "sign": event["sign"],
            "reason": event["reason"],
            "ended_at": utc_now().isoformat(),
            "restarts": event["restarts"],
            "lag": event.get("lag"),
        }

    def _as_it_ran(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the dead stream was made from, which this run may have asked for otherwise.

        Nothing may be left of a driver without application: what it bore, the trigger has seen.
        """
        if application := self._cluster().find(APPLICATION_KIND, self.stream, self.namespace):
            return {**self._application, **application}
        spec = WatchEvent.model_validate(event).spec
        if not spec:
            return self._application
        notes = {ANNOTATION_SPEC_HASH: spec_hash(spec)}
        metadata = {**self._application["metadata"], "annotations": notes}
        return {**self._application, "metadata": metadata, "spec": spec}

    @staticmethod
    def _pending(context: Any) -> dict[str, Any] | None:
        """Return what an earlier try was about to start, its history with it, and since when."""
        return context["task_state_store"].get(_PENDING) or None

    @staticmethod
    def _keep_pending(context: Any, manifest: dict[str, Any]) -> None:
        kept = {"manifest": manifest, "since": utc_now().isoformat()}
        context["task_state_store"].set(_PENDING, kept)

    def _start(self, context: Any, there: Cluster, manifest: dict[str, Any]) -> Submission:
        """Start the stream, or take it as it runs: which spec it has was decided before."""
        way = SubmitWith(self.submit_with)
        done = ensure_submitted(there, manifest, way, self.release, self.log, as_it_runs=True)
        context["task_state_store"].set(_BEGUN, utc_now().isoformat())
        return done

    @staticmethod
    def _begin(context: Any, moment: datetime) -> None:
        """Keep since when the stream is this task's, unless that is known."""
        if not context["task_state_store"].get(_BEGUN):
            context["task_state_store"].set(_BEGUN, moment.isoformat())

    @property
    def _application(self) -> dict[str, Any]:
        return dict(json.loads(self.manifest))

    def _cluster(self) -> Cluster:
        return cluster(self.conn_id)


# What a trigger would tell of a stream that it has never seen.
_UNTOLD = WatchEvent(sign=Sign.GONE, reason=ENDED_BY_SOMEBODY).model_dump(mode="json")


def _ended(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event of a stream that somebody ended."""
    return {**event, "sign": Sign.GONE, "reason": ENDED_BY_SOMEBODY}


class DrainNightOperator(WatchNightOperator):
    """Watch on after the night's end, until all alerts are stored or the time of grace is over.

    It is drained where the lag is 0 and no alert has come for `quiet_s` seconds. The time of grace
    is over where the lag has not fallen for `grace_s` seconds while it was watched. `until` is when
    the night's watch ended. A stream that dies meanwhile is started again as in the night.

    Returns to XCom: as `WatchNightOperator`, and waited_s, is_drained.
    """

    template_fields = (*WatchNightOperator.template_fields, "quiet_s", "grace_s")

    def __init__(self, *, quiet_s: float | str, grace_s: float | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quiet_s = quiet_s
        self.grace_s = grace_s

    def execute(self, context: Any) -> dict[str, Any]:
        """Take the stream as it runs; the night is over, and one that has been ended stays so."""
        self._begin(context, context["dag_run"].start_date)
        with airflow_failures():
            found = holders(self._cluster(), self.namespace, self.stream)
        if not found and not self._pending(context):
            return self.resume(context, {**_UNTOLD, "reason": "the stream has been ended already"})
        return super().execute(context)

    def _take_up(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return the result with how long was waited, and whether all was read.

        The night is over: somebody who has ended its stream did what comes next anyway, and the
        proof will show whether too early.
        """
        is_over = event["sign"] == Sign.GONE
        result = self._result(event) if is_over else super()._take_up(context, event)
        waited = datetime.fromisoformat(result["ended_at"]) - datetime.fromisoformat(self.until)
        return {
            **result,
            "waited_s": round(waited.total_seconds(), 1),
            "is_drained": result["sign"] == Sign.DRAINED,
        }

    @property
    def deadline(self) -> datetime:
        """Return when the task is over at the latest: a whole night may have to be read."""
        return super().deadline + timedelta(seconds=float(self.grace_s)) + _LONGEST_DRAIN

    def trigger(self) -> NightTrigger:
        """Return what is waited for."""
        return NightTrigger(
            self.conn_id,
            self.namespace,
            self.stream,
            self.until,
            quiet_s=float(self.quiet_s),
            grace_s=float(self.grace_s),
            when_killed=self.when_killed,
        )


class EndOtherSpecOperator(StopStreamOperator):
    """Let a running stream of another spec end, where the form asks for an upgrade.

    Skipped where none runs, where it has the spec that is asked for, and where the form does not
    ask for it.
    """

    template_fields = (*StopStreamOperator.template_fields, "manifest", "if_differs")

    def __init__(self, *, manifest: Any, if_differs: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.if_differs = if_differs

    def execute(self, context: Any) -> dict[str, Any]:
        """Look; end what differs."""
        if self.if_differs != IfDiffers.UPGRADE:
            raise AirflowSkipException(f"the form says: {self.if_differs} what runs otherwise")
        with airflow_failures():
            namespace = self.manifest["metadata"]["namespace"]
            found = holders(cluster(self.conn_id), namespace, self.stream)
        alive = [one for one in found if not is_over(one.state)]
        if all(hash_of(one.there) == hash_of(self.manifest) for one in alive):
            raise AirflowSkipException("no stream of another spec runs")
        return super().execute(context)

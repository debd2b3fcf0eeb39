"""Watch a night's stream from the triggerer until the night ends or the stream needs action."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.diagnosis.evidence_sources import with_data
from fink_k8s.adapters.stop.stop_pursuit import ask_to_end
from fink_k8s.adapters.stream.streams import APPLICATION_KIND
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.health.stream_health import HealthVerdict
from fink_k8s.core.night.drain import Drain
from fink_k8s.core.night.night_request import WhenKilled
from fink_k8s.core.night.night_watch import NightWatch
from fink_k8s.core.night.watch_event import Sign, WatchEnd, WatchEvent
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.restarts import Restart, annotation_of
from fink_k8s.glue.base.connections import cluster, store, stream_settings
from fink_k8s.glue.health.health_notes import note_stop_by_trigger
from fink_k8s.glue.stream.observations import observations
from fink_k8s.glue.stream.stream_trigger import RESUME_SECONDS

_NEVER = datetime.max.replace(tzinfo=UTC)

log = logging.getLogger(__name__)


class NightTrigger(BaseTrigger):
    """Fires once: the time is up, the night is drained, or the stream died or is gone.

    Until `until` it only observes, and records the restarts that it sees on the application. It may
    run twice, be killed or be moved without any effect on the stream. With `quiet_s` and `grace_s`,
    the night ended at `until`: it also observes the lag, and fires when the lag has been 0 for
    `quiet_s` seconds, or has not fallen for `grace_s` seconds of watching.

    If `when_killed` is `stop`, killing, clearing or marking the task stops the stream.
    """

    def __init__(
        self,
        conn_id: str,
        namespace: str,
        stream: str,
        until: str,
        quiet_s: float | None = None,
        grace_s: float = 0,
        when_killed: str = WhenKilled.LEAVE,
        poll_seconds: float = 2,
        lag_seconds: float = 10,
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.namespace = namespace
        self.stream = stream
        self.until = datetime.fromisoformat(until)
        self.quiet_s = quiet_s
        self.grace_s = grace_s
        self.when_killed = WhenKilled(when_killed)
        self.poll_seconds = poll_seconds
        self.lag_seconds = lag_seconds
        self._cluster: Cluster | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's address and its arguments."""
        arguments = {
            "conn_id": self.conn_id,
            "namespace": self.namespace,
            "stream": self.stream,
            "until": self.until.isoformat(),
            "quiet_s": self.quiet_s,
            "grace_s": self.grace_s,
            "when_killed": self.when_killed.value,
            "poll_seconds": self.poll_seconds,
            "lag_seconds": self.lag_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch; the event has the fields of `WatchEvent`, as JSON."""
        settled = asyncio.create_task(asyncio.sleep(RESUME_SECONDS))
        watch, drain = NightWatch(self.until), self._drain()
        try:
            end = await self._watch(watch, drain)
        except FinkError as error:
            end = WatchEnd(sign=Sign.UNWATCHABLE, reason=str(error))
        await settled
        lag = drain.lag if drain else None
        event = WatchEvent.of(end, watch.driver, watch.restarts.known, lag)
        yield TriggerEvent(event.model_dump(mode="json"))

    async def on_kill(self) -> None:
        """Leave the stream running, or ask it to end, as set in the form."""
        if self.when_killed is WhenKilled.LEAVE:
            log.warning("the task was killed; stream %s continues to run", self.stream)
            return
        log.warning(
            "the task was killed; stream %s is being stopped, as set in the form", self.stream
        )
        # In one thread, which continues if Airflow cancels this a second time: it does so in its
        # next loop, and the first call of its API in a triggerer takes seconds.
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        now = utc_now()
        target = self._cluster or cluster(self.conn_id)
        ask_to_end(target, self.namespace, self.stream, StopManner())
        note_stop_by_trigger(self.namespace, self.stream, now)

    async def _client(self) -> Cluster:
        """Return this trigger's own client; of a thousand triggers, few need one."""
        if self._cluster is None:
            self._cluster = await asyncio.to_thread(cluster, self.conn_id)
        return self._cluster

    def _drain(self) -> Drain | None:
        if self.quiet_s is None:
            return None
        quiet, grace = timedelta(seconds=self.quiet_s), timedelta(seconds=self.grace_s)
        # From now on: before, the stream may have been down, or not watched.
        return Drain(utc_now(), quiet, grace)

    async def _watch(self, watch: NightWatch, drain: Drain | None) -> WatchEnd:
        said, noted = "", (0, False)
        if drain:
            watch.until = _NEVER
        clock = asyncio.get_running_loop().time
        due = clock()
        # The earlier tasks had all the rights.
        seen = observations(
            self.conn_id, self.namespace, self.stream, self.poll_seconds, was_let_in=True
        )
        async with aclosing(seen):
            async for evidence in seen:
                end = watch.judge(evidence, utc_now())
                # Do not repeat a refused request at each look.
                news = watch.restarts.news
                if news and _key_of(news) != noted and await self._note(news, evidence):
                    noted = _key_of(news)
                if watch.last and watch.last.reason != said:
                    said = watch.last.reason
                    log.info("%s: %s", self.stream, said)
                is_well = watch.last is not None and watch.last.verdict is HealthVerdict.HEALTHY
                if end is None and drain and is_well and clock() >= due:
                    due = clock() + self.lag_seconds
                    end = await self._judge_lag(drain, evidence)
                if end is None and drain:
                    end = drain.out_of_grace(utc_now())
                if end:
                    return end
        raise AssertionError("observations end with an outcome only")

    async def _note(self, restarts: Sequence[Restart], evidence: Evidence) -> bool:
        """Record the restarts on the application, where an adopting run finds them.

        Return True when done, False if a retry may succeed.
        """
        latest = restarts[-1]
        if not latest.is_over:
            log.warning("%s: restarted by the %s: %s", self.stream, latest.by, latest.cause)
        else:
            log.info("%s: its query is alive again after %.0f s", self.stream, latest.back_after_s)
        if evidence.application is None:
            return True  # changing a pod's annotations would need another right
        where = (APPLICATION_KIND, self.stream, self.namespace)
        try:
            client = await self._client()
            await asyncio.to_thread(client.annotate, *where, annotation_of(restarts))
        except FinkError as error:
            log.warning("could not record the restart: %s", error)
            return not error.retryable
        return True

    async def _judge_lag(self, drain: Drain, evidence: Evidence) -> WatchEnd | None:
        client = await self._client()
        try:
            settings = await asyncio.to_thread(stream_settings, self.stream)
        except FinkError as error:
            log.warning("the lag is unknown: %s", error)
            return drain.judge(None, {}, utc_now())
        full = await asyncio.to_thread(
            with_data, client, settings, self.stream, evidence, partial(store, settings)
        )
        for source, why in full.unanswered.items():
            log.warning("could not read %s: %s", source, why)
        before = str(drain)
        seen = drain.judge(full.lag, full.topic.ends if full.topic else {}, utc_now())
        if str(drain) != before:
            log.info("%s: %s", self.stream, drain)
        return seen


def _key_of(restarts: Sequence[Restart]) -> tuple[int, bool]:
    """Return the key of a record: the number of restarts, and whether the last is complete."""
    return len(restarts), restarts[-1].is_over

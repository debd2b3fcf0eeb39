"""Stop a stream from the triggerer, so that no worker is held while waiting."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stop.stop_pursuit import Witness, pursue
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.stop.stop_course import Action, Course, Step
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.glue.base.connections import cluster
from fink_k8s.glue.stream.stream_trigger import RESUME_SECONDS

log = logging.getLogger(__name__)


class StopTrigger(BaseTrigger):
    """Fires once: when nothing of a stream is left, or when the stop gives up.

    Each of its actions is safe to repeat. It may be killed, moved or run again from the same
    course: it reads the progress from the cluster.
    """

    def __init__(
        self,
        conn_id: str,
        namespace: str,
        course: dict[str, Any],
        manner: dict[str, Any],
        poll_seconds: float = 2,
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.namespace = namespace
        self.course = Course.model_validate(course)
        self.manner = StopManner.model_validate(manner)
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's address and its arguments."""
        arguments = {
            "conn_id": self.conn_id,
            "namespace": self.namespace,
            "course": self.course.model_dump(mode="json"),
            "manner": self.manner.model_dump(mode="json"),
            "poll_seconds": self.poll_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Pursue the stop; the event is a dict of course, is_done, reason."""
        target = await sync_to_async(cluster)(self.conn_id)
        witness = Witness(target, self.namespace)
        settled = asyncio.create_task(asyncio.sleep(RESUME_SECONDS))
        try:
            course, step = await self._pursue(target, witness)
        finally:
            witness.close()
        await settled
        yield TriggerEvent(event_of(course, step))

    async def _pursue(self, target: Cluster, witness: Witness) -> tuple[Course, Step]:
        course, said = self.course, ""
        while True:
            try:
                course, step = await asyncio.to_thread(
                    pursue, target, self.namespace, course, self.manner, witness, utc_now()
                )
            except FinkError as error:
                if not error.retryable:
                    return course, Step(Action.GIVE_UP, str(error))
                log.warning("%s", error)
                await asyncio.sleep(self.poll_seconds)
                continue
            if (line := f"{step.action}: {step.reason}") != said:
                said = line
                log.info("%s: %s", course.stream, said)
            if step.is_last:
                return course, step
            await asyncio.sleep(self.poll_seconds)


def event_of(course: Course, step: Step) -> dict[str, Any]:
    """Return how a stop ended, as plain values."""
    return {
        "course": course.model_dump(mode="json"),
        "is_done": step.action is Action.DONE,
        "reason": step.reason,
    }

"""Wait for a stream without holding a worker: in the triggerer, on one shared watch."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from fink_k8s.adapters.stream.streams import observe
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.health.goal_watch import Goal, Outcome, Watch
from fink_k8s.glue.base.connections import cluster
from fink_k8s.glue.stream.observations import observations

# An executor that is behind mistakes the end of the deferring process for the end of the task that
# has been resumed since, and fails it: so a trigger must not fire as soon as it starts.
RESUME_SECONDS = 6.0

log = logging.getLogger(__name__)


def outcome_now(conn_id: str, namespace: str, stream: str, goal: Goal) -> dict[str, Any] | None:
    """Look once, from a task; return an event like the trigger's, or None if it has to wait."""
    outcome = Watch(goal).judge(observe(cluster(conn_id), namespace, stream), utc_now())
    return asdict(outcome) if outcome else None


class StreamTrigger(BaseTrigger):
    """Fires once, when the stream has reached `goal` or cannot reach it.

    It only observes: it may run twice, be killed or be moved without any effect on the stream.
    While the API server does not answer, it keeps trying; the task's own timeout is the limit.
    """

    def __init__(
        self, conn_id: str, namespace: str, stream: str, goal: str, poll_seconds: float = 2
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.namespace = namespace
        self.stream = stream
        self.goal = Goal(goal)
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's address and its arguments."""
        arguments = {
            "conn_id": self.conn_id,
            "namespace": self.namespace,
            "stream": self.stream,
            "goal": self.goal.value,
            "poll_seconds": self.poll_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Observe until there is an outcome; the event is a dict of reached, reason, retryable."""
        settled = asyncio.create_task(asyncio.sleep(RESUME_SECONDS))
        try:
            outcome = await self._outcome()
        except FinkError as error:
            outcome = Outcome(False, str(error))
        await settled
        yield TriggerEvent(asdict(outcome))

    async def _outcome(self) -> Outcome:
        watch, said = Watch(self.goal), ""
        seen = observations(self.conn_id, self.namespace, self.stream, self.poll_seconds)
        async with aclosing(seen):
            async for evidence in seen:
                outcome = watch.judge(evidence, utc_now())
                if watch.last and watch.last.reason != said:
                    said = watch.last.reason
                    log.info("%s: %s", self.stream, said)
                if outcome:
                    return outcome
        raise AssertionError("observations end with an outcome only")

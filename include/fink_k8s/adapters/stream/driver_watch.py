"""A watched stream's driver: its metrics, polled now and then, and the end of its log."""

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import Context
from typing import Any

from fink_k8s.adapters.base.api_errors import NotThere
from fink_k8s.adapters.base.async_api import AsyncApi
from fink_k8s.adapters.base.cluster import log_of, path_of, ui_of
from fink_k8s.adapters.base.reflector import Pace
from fink_k8s.core.base.errors import FinkError, InvalidRequest, Unavailable
from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.diagnosis.evidence import QUERY_GAUGE
from fink_k8s.core.stream.stream_names import driver_pod_name

_LOG_LINES = 100
_LINE_LENGTH = 4000
_PROBE_SECONDS = 10
# A driver's last log lines arrive a moment after the event of its end.
_LAST_WORDS_SECONDS = 1.0


class DriverWatch:
    """One stream's driver, once it runs; `changed` is called after each probe.

    The operator deletes a failed driver at once, together with its log, so the log is read while it
    is written. `places` limits how many drivers are probed at the same time.
    """

    def __init__(
        self,
        api: AsyncApi,
        namespace: str,
        stream: str,
        pace: Pace,
        places: asyncio.Semaphore,
        changed: Callable[[], None],
    ) -> None:
        self.awaits_probe = False
        """Whether a driver is running whose metrics are not known yet."""
        self._api = api
        self._namespace = namespace
        self._pod = driver_pod_name(stream)
        self._pace = pace
        self._places = places
        self._changed = changed
        self._uid = ""
        self._runs = False
        self._ended_at = -math.inf
        self._metrics: Manifest | None = None
        self._failure: FinkError | None = None
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._is_read = asyncio.Event()
        self._tail: tuple[str, str] = ("", "")
        self._asked = 0
        self._asked_at = -math.inf
        self._probing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def see(self, driver: Mapping[str, Any] | None) -> None:
        """Record the current state of the driver's pod."""
        runs = driver is not None and driver["status"].get("phase") == "Running"
        uid = driver["metadata"]["uid"] if driver else ""
        if runs and (not self._runs or uid != self._uid):
            self.cancel()
            if uid != self._uid:
                self._lines.clear()  # another driver's log does not explain this one's end
            self._uid, self._runs = uid, True
            self._start(self._read_log())
            self._probe_anew()
        elif self._runs and not runs:
            self._runs = self.awaits_probe = False
            self._metrics = self._failure = None
            # A driver deleted while running logs nothing about the cause.
            self._ended_at = asyncio.get_running_loop().time() if driver else -math.inf
            if self._probing:
                self._probing.cancel()

    def ask_again(self) -> None:
        """Probe at once if the last probe got no metrics: the failure may not be the driver's."""
        if self._runs and self._metrics is None and not self.awaits_probe:
            self._probe_anew()

    def metrics(self) -> Manifest | None:
        """Return the gauges of the last probe; None if the driver serves none.

        Raises:
            FinkError: the API server refuses the request; the message has the reason.
        """
        if self._failure:
            # All callers share one error: each raise would add to its traceback.
            raise self._failure.with_traceback(None)
        return self._metrics

    @property
    def probes(self) -> int:
        """Return how often metrics were probed, for all its drivers; 0 before an answer."""
        return 0 if self.awaits_probe else self._asked

    async def said(self, driver: Mapping[str, Any] | None) -> str:
        """Return the last lines of its log; wait briefly for those of a driver that just ended."""
        if self._uid and not self._runs:
            left = self._ended_at + _LAST_WORDS_SECONDS - asyncio.get_running_loop().time()
            if left > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._is_read.wait(), left)
        read = "\n".join(self._lines)
        if driver is None or driver["status"].get("phase") != "Failed":
            return read
        uid = driver["metadata"]["uid"]
        if self._tail[0] != uid:
            try:
                path = log_of(self._namespace, self._pod)
                self._tail = uid, await self._api.text(path, tailLines="40")
            except FinkError:
                return read
        return self._tail[1] or read

    def cancel(self) -> None:
        """Stop probing and reading."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Stop probing and reading, and wait for the tasks to end."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In a separate context: shared work does not belong in one trigger's log.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _probe_anew(self) -> None:
        if self._probing:
            self._probing.cancel()
        self.awaits_probe = True
        self._metrics = self._failure = None
        self._probing = self._start(self._probe())

    async def _probe(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            # Also across drivers, so that a flapping stream is not probed more often.
            await asyncio.sleep(self._asked_at + self._pace.probe_seconds - clock())
            metrics, failure = None, None
            async with self._places:
                self._asked_at = clock()
                try:
                    metrics = await self._ask()
                except FinkError as error:
                    failure = error
            self._asked += 1
            self._metrics, self._failure, self.awaits_probe = metrics, failure, False
            self._changed()

    async def _ask(self) -> Manifest | None:
        """Return the gauges, or None if the driver has none."""
        path = ui_of(self._namespace, self._pod) + "/metrics/json/"
        try:
            found = json.loads(await self._api.text(path, _PROBE_SECONDS))
        except (NotThere, InvalidRequest, json.JSONDecodeError):
            # A pod without an address is refused; while Spark starts, each page is one sentence.
            return None
        except Unavailable:
            # Either the driver or the API server is silent: request the pod to find out which.
            await self._ask_for_pod()
            return None
        gauges = found.get("gauges") if isinstance(found, dict) else None
        if not isinstance(gauges, dict):
            return None
        # The rest is most of the page, and nothing uses it.
        return {"gauges": {name: gauge for name, gauge in gauges.items() if QUERY_GAUGE in name}}

    async def _ask_for_pod(self) -> None:
        with suppress(NotThere):
            await self._api.get(f"{path_of('Pod', self._namespace)}/{self._pod}")

    async def _read_log(self) -> None:
        """Read the log while the driver runs, and again after a lost connection.

        An unreadable log is not an error: it only makes a diagnosis less exact.
        """
        path, lines_read = log_of(self._namespace, self._pod), 0
        for wait in self._pace.backoff.seconds():
            self._is_read.clear()
            try:
                log = self._api.lines(path, follow="true", tailLines=str(_LOG_LINES))
                async with log as lines:
                    if lines_read:
                        self._lines.clear()
                    async for line in lines:
                        lines_read += 1
                        said = line[:_LINE_LENGTH].decode(errors="replace").rstrip()
                        self._lines.append(said)
            except FinkError as error:
                if not error.retryable:
                    return
            finally:
                self._is_read.set()
            await asyncio.sleep(wait)
            if not self._runs:
                return

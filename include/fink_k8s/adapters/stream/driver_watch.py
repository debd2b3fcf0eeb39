"""What the driver of a watched stream says: its metrics, asked now and then, and its log's end."""

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
# What a driver said last comes a moment after the news of its end.
_LAST_WORDS_SECONDS = 1.0


class DriverWatch:
    """One stream's driver, from the moment that it runs; `changed` is called after each probe.

    The operator deletes a driver that has failed at once, and what it said last with it; so its
    log is read while it is written. `places` bounds how many drivers are asked at the same time.
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
        """Whether a driver runs of whose metrics nothing is known yet."""
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
        """Take note of the driver's pod as it is now."""
        runs = driver is not None and driver["status"].get("phase") == "Running"
        uid = driver["metadata"]["uid"] if driver else ""
        if runs and (not self._runs or uid != self._uid):
            self.cancel()
            if uid != self._uid:
                self._lines.clear()  # one that dies without a word died of no other's cause
            self._uid, self._runs = uid, True
            self._start(self._read_log())
            self._probe_anew()
        elif self._runs and not runs:
            self._runs = self.awaits_probe = False
            self._metrics = self._failure = None
            # One that was taken away while it ran has no last words that would tell why.
            self._ended_at = asyncio.get_running_loop().time() if driver else -math.inf
            if self._probing:
                self._probing.cancel()

    def ask_again(self) -> None:
        """Ask for the metrics at once if the last answer was none: it may not be the driver's."""
        if self._runs and self._metrics is None and not self.awaits_probe:
            self._probe_anew()

    def metrics(self) -> Manifest | None:
        """Return the gauges as last probed; None where the driver does not give any.

        Raises:
            FinkError: the API server does not let them through; says why.
        """
        if self._failure:
            # One error for all who look: each raise would add to its traceback.
            raise self._failure.with_traceback(None)
        return self._metrics

    @property
    def probes(self) -> int:
        """Return how often metrics were asked for, of all its drivers; 0 before an answer."""
        return 0 if self.awaits_probe else self._asked

    async def said(self, driver: Mapping[str, Any] | None) -> str:
        """Return the last lines of its log; of a driver that has just ended, its last as well."""
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
        """Ask and read no more."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Ask and read no more, and wait until that has ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In a context of its own: what is done for all belongs to no trigger's log.
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
            # Also from one driver to the next: one that flaps is not asked more often.
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
        """Return the gauges, None where the driver has none."""
        path = ui_of(self._namespace, self._pod) + "/metrics/json/"
        try:
            found = json.loads(await self._api.text(path, _PROBE_SECONDS))
        except (NotThere, InvalidRequest, json.JSONDecodeError):
            # A pod without address is refused; while Spark starts up, every page is one sentence.
            return None
        except Unavailable:
            # The silence may be the driver's or the API server's own, which is asked for the pod.
            await self._ask_for_pod()
            return None
        gauges = found.get("gauges") if isinstance(found, dict) else None
        if not isinstance(gauges, dict):
            return None
        # All else makes most of the page, and nobody asks for it.
        return {"gauges": {name: gauge for name, gauge in gauges.items() if QUERY_GAUGE in name}}

    async def _ask_for_pod(self) -> None:
        with suppress(NotThere):
            await self._api.get(f"{path_of('Pod', self._namespace)}/{self._pod}")

    async def _read_log(self) -> None:
        """Read the log while the driver runs, anew where the connection is lost.

        A log that cannot be read is no reason to fail: it only makes a diagnosis less exact.
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

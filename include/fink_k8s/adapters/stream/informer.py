"""Watch streams from an event loop: one list and one watch per kind, for any number of followers.

All followers of streams in one namespace through one connection share a `NamespaceWatch`: the first
one starts it, the last one ends it. Use `streams.observe` for a single look from a task, and
`Follower.observe` for repeated observation.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from fink_k8s.adapters.base.api_errors import NotThere
from fink_k8s.adapters.base.async_api import AsyncApi
from fink_k8s.adapters.base.cluster import Cluster, path_of
from fink_k8s.adapters.base.reflector import Pace, Reflector
from fink_k8s.adapters.stream.driver_watch import DriverWatch
from fink_k8s.adapters.stream.streams import APPLICATION_KIND
from fink_k8s.core.base.errors import NotPermitted
from fink_k8s.core.base.kubernetes import Manifest, name_of
from fink_k8s.core.base.names import LABEL_NIGHT, LABEL_SURVEY
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.stream.states import is_over
from fink_k8s.core.stream.stream_names import pod_selector

WATCH_RIGHTS = (
    "watching streams needs get, list and watch on pods and sparkapplications, and get on pods/log "
    "and pods/proxy: kubectl apply -f include/kubernetes/airflow-account.yaml"
)
# The first answer may take a while; a failure is raised at once.
_FIRST_SECONDS = 60
_FIRST_PROBE_SECONDS = 15

_watches: dict[Any, "NamespaceWatch"] = {}


@asynccontextmanager
async def following(
    key: str,
    make_cluster: Callable[[], Cluster],
    namespace: str,
    stream: str,
    pace: Pace | None = None,
) -> AsyncIterator["Follower"]:
    """Follow one stream, on a watch shared by all callers with the same `key` in this event loop.

    `key` names the connection, and `make_cluster`, called in a thread, creates its client.

    Raises:
        InvalidRequest: `stream` is not a valid stream name.
    """
    pod_selector(stream)
    pace = pace or Pace()
    place = (asyncio.get_running_loop(), key, namespace, pace)
    watch = _watches.get(place)
    if watch is None or watch.is_broken:
        watch = _watches[place] = NamespaceWatch(make_cluster, namespace, pace)
    follower = watch.join(stream)
    try:
        yield follower
    finally:
        if watch.leave(follower) and _watches.get(place) is watch:
            del _watches[place]
        await watch.settle()


class NamespaceWatch:
    """The SparkApplications and night pods of a namespace, watched while there are followers."""

    def __init__(self, make_cluster: Callable[[], Cluster], namespace: str, pace: Pace) -> None:
        self.api = AsyncApi(make_cluster)
        self.namespace = namespace
        self._pace = pace
        self._places = asyncio.Semaphore(pace.probes_at_once)
        self._streams: dict[str, _Stream] = {}
        self._left: list[DriverWatch] = []
        self._applications = self._mirror(APPLICATION_KIND, "", name_of)
        self._pods = self._mirror("Pod", LABEL_NIGHT, _stream_of_pod)
        self._tried = asyncio.Event()
        # In a separate context: shared work does not belong in one trigger's log.
        self._running = asyncio.get_running_loop().create_task(self._run(), context=Context())
        self._running.add_done_callback(lambda _: self._turned())

    @property
    def is_broken(self) -> bool:
        """Tell whether it has ended with an error, which is raised to all followers."""
        return self._running.done()

    def join(self, stream: str) -> "Follower":
        """Add a follower of a stream."""
        if stream not in self._streams:
            driver = DriverWatch(
                self.api, self.namespace, stream, self._pace, self._places,
                lambda: self._wake(stream),
            )  # fmt: skip
            self._streams[stream] = _Stream(driver)
        follower = Follower(self, stream)
        self._streams[stream].followers.append(follower)
        self._see(stream)
        return follower

    def leave(self, follower: "Follower") -> bool:
        """Remove a follower; tell whether it was the last one, which ends the watch."""
        followed = self._streams[follower.stream]
        followed.followers.remove(follower)
        if not followed.followers:
            del self._streams[follower.stream]
            followed.driver.cancel()
            self._left.append(followed.driver)
        if not self._streams:
            self._running.cancel()
        return not self._streams

    async def settle(self) -> None:
        """Wait until abandoned work has ended and, after the last follower, the client."""
        while self._left:
            await self._left.pop().close()
        if not self._streams:
            await asyncio.wait({self._running})

    async def ready(self) -> None:
        """Wait for the first answer; raise an error if there is none, or none any longer.

        Raises:
            Unavailable: the API server does not answer; the message has the time.
            NotPermitted: the account may not list or watch; the message has the rights to grant.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), _FIRST_SECONDS)
        if self._running.done():
            self._running.result()
        try:
            self._applications.check()
            self._pods.check()
        except NotPermitted as error:
            raise NotPermitted(f"{error}; {WATCH_RIGHTS}") from error

    def parts_of(self, stream: str) -> tuple[Manifest | None, list[Manifest]]:
        """Return the stream's application and pods, as last seen."""
        return next(iter(self._applications.of(stream)), None), self._pods.of(stream)

    def driver_of(self, stream: str) -> DriverWatch:
        """Return the watch of a followed stream's driver."""
        return self._streams[stream].driver

    async def _run(self) -> None:
        async with self.api, asyncio.TaskGroup() as group:
            for mirror in (self._applications, self._pods):
                group.create_task(mirror.keep(self.api))

    def _mirror(self, kind: str, selector: str, group_of: Callable[[Manifest], str]) -> Reflector:
        path = path_of(kind, self.namespace)
        return Reflector(path, selector, group_of, self._see, self._turned, self._pace)

    def _see(self, stream: str) -> None:
        if followed := self._streams.get(stream):
            followed.driver.see(Evidence(*self.parts_of(stream)).driver)
            self._wake(stream)

    def _turned(self) -> None:
        if self.is_broken or (self._applications.is_tried and self._pods.is_tried):
            self._tried.set()
        for stream, followed in self._streams.items():
            followed.driver.ask_again()
            self._wake(stream)

    def _wake(self, stream: str) -> None:
        if followed := self._streams.get(stream):
            for follower in followed.followers:
                follower.news.set()


class Follower:
    """A follower of one stream; created by `following`."""

    def __init__(self, watch: NamespaceWatch, stream: str) -> None:
        self.stream = stream
        self.news = asyncio.Event()
        self._watch = watch
        self._certain: tuple[str, ...] | None = None

    async def observe(self) -> Evidence:
        """Return the evidence of the stream, as `streams.observe` would.

        It waits for the first answer of the API server and of the driver's metrics, and for the
        driver's last log lines, unless something changes first.

        Raises:
            Unavailable: the API server does not answer; the message has the time.
            NotPermitted: the account lacks a right; the message names it.
        """
        await self._watch.ready()
        driver = self._watch.driver_of(self.stream)
        if driver.awaits_probe:
            self.news.clear()
            await self.changed(_FIRST_PROBE_SECONDS)
            await self._watch.ready()
        # Changes from here on are for the next look.
        self.news.clear()
        seen = await self._certainly(Evidence(*self._watch.parts_of(self.stream)))
        metrics = driver.metrics() if seen.driver_phase == "Running" else None
        said = await driver.said(seen.driver)
        return Evidence(seen.application, seen.pods, metrics, said, probes=driver.probes)

    async def changed(self, timeout_seconds: float) -> bool:
        """Wait until the stream has changed since the last look; tell whether it has."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.news.wait(), timeout_seconds)
        return self.news.is_set()

    async def _certainly(self, seen: Evidence) -> Evidence:
        """Confirm an end with the API server, once; the mirror may be behind.

        Otherwise a task that has just started a stream could see the end of the previous one.
        """
        if seen.exists and not is_over(seen.state):
            return seen
        versions = _versions_of(seen)
        if versions == self._certain:
            return seen
        api, namespace = self._watch.api, self._watch.namespace
        try:
            application = await api.get(f"{path_of(APPLICATION_KIND, namespace)}/{self.stream}")
        except NotThere:
            application = None
        pods = await api.get(path_of("Pod", namespace), labelSelector=pod_selector(self.stream))
        now = Evidence(application, pods["items"])
        if _versions_of(now) == versions:
            self._certain = versions
        return now


@dataclass
class _Stream:
    driver: DriverWatch
    followers: list[Follower] = field(default_factory=list)


def _stream_of_pod(pod: Manifest) -> str:
    """Return the stream that a pod's labels name, matching `pod_selector`."""
    labels = pod["metadata"].get("labels") or {}
    return f"stream2raw-{labels.get(LABEL_SURVEY, '')}-{labels.get(LABEL_NIGHT, '')}"


def _versions_of(seen: Evidence) -> tuple[str, ...]:
    parts = [*filter(None, [seen.application]), *seen.pods]
    return tuple(str(part["metadata"]["resourceVersion"]) for part in parts)

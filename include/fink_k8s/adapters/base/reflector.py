"""The objects of one kind in a namespace, kept as the API server has them: one list, one watch.

What is seen may be behind by the time an event takes, longer while the connection is lost; a
mirror says since when. Objects are shared by all who look: they must not be changed.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fink_k8s.adapters.base.api_errors import Away, NotThere, error_of
from fink_k8s.adapters.base.async_api import AsyncApi, Backoff
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError, Unavailable
from fink_k8s.core.base.kubernetes import Manifest, name_of, version_of_object

_PAGE = 250
_LIST_SECONDS = 30


@dataclass(frozen=True)
class Pace:
    """How often the API server is asked, and how old what it said may be; all in seconds."""

    probe_seconds: float = 5
    """From one question for a driver's metrics to the next."""
    probes_at_once: int = 16
    """How many drivers are asked at the same time, at most; a number, not seconds."""
    watch_seconds: float = 300
    """How long the API server is asked to keep a watch open."""
    silence_seconds: float = 100
    """After how long without event or bookmark, which comes each minute, a watch is lost."""
    stale_seconds: float = 5
    """How long what was seen last counts after the watch was lost."""
    unknown_seconds: float = 30
    """When to ask again for a kind of object that the cluster does not know."""
    backoff: Backoff = field(default_factory=Backoff)


class Reflector:
    """The objects at `path`, in groups: `group_of` names an object's group.

    `changed` is called with a group that has changed, `turned` whenever the mirror
    begins or ceases to be up to date.
    """

    def __init__(
        self,
        path: str,
        selector: str,
        group_of: Callable[[Manifest], str],
        changed: Callable[[str], None],
        turned: Callable[[], None],
        pace: Pace,
    ) -> None:
        self.is_tried = False
        """Whether the first answer, or the first failure, has come."""
        self._path = path
        self._selector = selector
        self._group_of = group_of
        self._changed = changed
        self._turned = turned
        self._pace = pace
        self._groups: dict[str, dict[str, Manifest]] = defaultdict(dict)
        self._group: dict[str, str] = {}
        self._version = ""
        self._is_listed = False
        self._failure: FinkError | None = None
        self._lost_at: datetime | None = None
        self._waits = pace.backoff.seconds()

    def of(self, group: str) -> list[Manifest]:
        """Return a group's objects in the order of their names, which is the API server's."""
        there = self._groups.get(group, {})
        return [there[name] for name in sorted(there)]

    def check(self) -> None:
        """Raise why the objects are not known, or no longer; what is a little old counts."""
        failure = self._failure
        if not self._is_listed and failure is None:
            raise Unavailable(f"the API server has not listed {self._path} yet")
        if failure and not (self._is_listed and failure.retryable):
            # One error for all who look: each raise would add to its traceback.
            raise failure.with_traceback(None)
        if failure is None or self._lost_at is None:
            return
        if (utc_now() - self._lost_at).total_seconds() < self._pace.stale_seconds:
            return
        raise Unavailable(
            f"nothing is known of {self._path} since {self._lost_at:%H:%M:%S} UTC: {failure}"
        )

    async def keep(self, api: AsyncApi) -> None:
        """List and watch for ever.

        A lost connection is taken up where it ended; whatever the server refuses, an expired
        version first of all, leads to a new list.
        """
        while True:
            begun = time.monotonic()
            wait = None
            try:
                if not self._version:
                    await self._list(api)
                await self._watch(api)
            except Away as error:
                self._lose(error)
            except NotThere:
                self._version = ""
                self._replace({})
                self._find()
                wait = self._pace.unknown_seconds
            except FinkError as error:
                self._version = ""
                self._lose(error)
            if time.monotonic() - begun > self._pace.backoff.most:
                self._waits = self._pace.backoff.seconds()
            await asyncio.sleep(wait or next(self._waits))

    async def _list(self, api: AsyncApi) -> None:
        # Without a resource version the answer is current, not what some server remembers.
        found: dict[str, Manifest] = {}
        query = {"labelSelector": self._selector, "limit": str(_PAGE)}
        while True:
            page = await api.get(self._path, _LIST_SECONDS, **query)
            found |= {name_of(item): _trimmed(item) for item in page.get("items") or ()}
            if not (token := page["metadata"].get("continue")):
                break
            query["continue"] = token
        self._replace(found)
        self._version = page["metadata"]["resourceVersion"]

    async def _watch(self, api: AsyncApi) -> None:
        seconds = self._pace.watch_seconds * random.uniform(0.8, 1)  # noqa: S311 - no secret
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": self._selector,
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        async with api.lines(self._path, self._pace.silence_seconds, **query) as lines:
            self._find()
            async for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, there = event["type"], event["object"]
            version = "" if kind == "ERROR" else there["metadata"]["resourceVersion"]
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable(
                f"watching {self._path}: {line[:80]!r} is not a valid event"
            ) from error
        if kind == "ERROR":
            code, said = there.get("code", 500), str(there.get("message", ""))
            raise error_of(code, said, f"watching {self._path}")
        if kind != "BOOKMARK":
            self._put(name_of(there), None if kind == "DELETED" else _trimmed(there))
        self._version = version

    def _replace(self, found: dict[str, Manifest]) -> None:
        for name in self._group.keys() - found.keys():
            self._put(name, None)
        for name, there in found.items():
            before = self._groups[self._group[name]][name] if name in self._group else None
            if before is None or version_of_object(before) != version_of_object(there):
                self._put(name, there)
        self._is_listed = True

    def _put(self, name: str, there: Manifest | None) -> None:
        """Note what an object is now; None: it is gone."""
        before = self._group.pop(name, None)
        if before is not None:
            del self._groups[before][name]
        after = None if there is None else self._group_of(there)
        if there is not None and after is not None:
            self._group[name] = after
            self._groups[after][name] = there
        if before is not None and not self._groups[before]:
            del self._groups[before]
        for group in {before, after}:
            if group is not None:
                self._changed(group)

    def _find(self) -> None:
        was_lost = not self.is_tried or self._failure is not None
        self._failure = self._lost_at = None
        self.is_tried = True
        if was_lost:
            self._turned()

    def _lose(self, error: FinkError) -> None:
        was_there = self._failure is None
        self._failure = error
        self._lost_at = self._lost_at or utc_now()
        self.is_tried = True
        if was_there:
            self._turned()


def _trimmed(there: Manifest) -> Manifest:
    """Return an object without what only the API server needs, a third of its size."""
    there["metadata"].pop("managedFields", None)
    return there

"""A real HTTP server on 127.0.0.1 that lists and watches as Kubernetes' API server does."""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager, suppress

from aiohttp import web

NAMESPACE = "spark"
APPLICATIONS = f"/apis/sparkoperator.k8s.io/v1beta2/namespaces/{NAMESPACE}/sparkapplications"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class ApiServer:
    """Objects by path and name; `asked` counts what was asked for, `open` the watches held.

    An answer with metrics takes `metrics_seconds`; `most_at_once` of them were under way at a time.
    `refuses` holds an HTTP status by (path, verb), the verb list, watch or metrics.
    """

    def __init__(self):
        self.objects = {APPLICATIONS: {}, PODS: {}}
        self.version = 100
        self.asked = Counter()
        self.open = Counter()
        self.refuses = {}
        self.has_no_credentials = False
        self.metrics = {"gauges": {}}
        self.metrics_seconds = 0
        self.most_at_once = 0
        self.log = ["first words"]
        self.url = ""
        self._events = {APPLICATIONS: [], PODS: []}
        self._watchers = {APPLICATIONS: set(), PODS: set()}

    def put(self, path, there):
        """Make an object, or change it."""
        self.version += 1
        name = there["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[path] else "ADDED"
        metadata = {**there["metadata"], "resourceVersion": str(self.version)}
        self.objects[path][name] = {**there, "metadata": metadata}
        self._tell(path, kind, self.objects[path][name])

    def delete(self, path, name):
        """Delete an object."""
        self.version += 1
        there = self.objects[path].pop(name)
        there["metadata"]["resourceVersion"] = str(self.version)
        self._tell(path, "DELETED", there)

    def say(self, path, line):
        """Write bytes, as they are, to all that watch."""
        for queue in self._watchers[path]:
            queue.put_nowait(line)

    def bookmark(self, path):
        """Tell those that watch how far they have come."""
        self.version += 1
        there = {"metadata": {"resourceVersion": str(self.version)}}
        self.say(path, _line("BOOKMARK", there))

    def hang_up(self, path):
        """Break all connections that watch."""
        self.say(path, None)

    def _tell(self, path, kind, there):
        self._events[path].append((self.version, _line(kind, there)))
        self.say(path, self._events[path][-1][1])

    async def _objects(self, request):
        path = request.path
        verb = "watch" if request.query.get("watch") else "list"
        self.asked[verb, path] += 1
        if status := self.refuses.get((path, verb)):
            return web.json_response({"message": f"refused with {status}"}, status=status)
        if verb == "list":
            items = list(self.objects[path].values())
            return web.json_response(
                {"metadata": {"resourceVersion": str(self.version)}, "items": items}
            )
        return await self._watch(request, path)

    async def _watch(self, request, path):
        since = int(request.query["resourceVersion"])
        queue = asyncio.Queue()
        for version, line in self._events[path]:
            if version > since:
                queue.put_nowait(line)
        self._watchers[path].add(queue)
        self.open[path] += 1
        answer = web.StreamResponse()
        try:
            await answer.prepare(request)
            while (line := await queue.get()) is not None:
                await answer.write(line)
            request.transport.abort()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._watchers[path].discard(queue)
            self.open[path] -= 1
        return answer

    async def _one(self, request):
        path, _, name = request.path.rpartition("/")
        self.asked["get", path] += 1
        there = self.objects[path].get(name)
        return web.json_response(there or {"message": "none"}, status=200 if there else 404)

    async def _metrics(self, request):
        self.asked["metrics", request.match_info["pod"]] += 1
        if status := self.refuses.get((PODS, "metrics")):
            return web.json_response({"message": f"refused with {status}"}, status=status)
        self.open["metrics"] += 1
        self.most_at_once = max(self.most_at_once, self.open["metrics"])
        try:
            await asyncio.sleep(self.metrics_seconds)
        finally:
            self.open["metrics"] -= 1
        return web.json_response(self.metrics)

    async def _log(self, request):
        self.asked["log", request.match_info["pod"]] += 1
        answer = web.StreamResponse()
        with suppress(ConnectionError, asyncio.CancelledError):
            await answer.prepare(request)
            for line in self.log:
                await answer.write(line.encode() + b"\n")
            if request.query.get("follow"):
                await asyncio.sleep(60)
        return answer

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        for path in self.objects:
            app.router.add_get(path, self._objects)
            app.router.add_get(path + "/{name}", self._one)
        app.router.add_get(PODS + "/{pod}:4040/proxy/metrics/json/", self._metrics)
        app.router.add_get(PODS + "/{pod}/log", self._log)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


def _line(kind, there):
    return json.dumps({"type": kind, "object": there}).encode() + b"\n"

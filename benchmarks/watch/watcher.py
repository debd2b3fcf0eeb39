"""One process that watches streams, ours or the provider's: `python -m benchmarks.watch.watcher`.

As in the triggerer, each trigger is a task of one event loop. What Airflow's triggerer itself
costs (its database, its logs) is left out, on both sides. Prints one JSON object.
"""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import psutil

from benchmarks.watch.objects import stream_of

CONNECTION = "kubernetes_default"


class Requests:
    """Counts the requests to the API server: both sides send them through aiohttp.

    These drivers do not run and have no log. A request that follows one is redirected to
    `log_server`, with its own TLS connection, as to the API server. It is counted as well.
    """

    def __init__(self, log_server: str) -> None:
        self.begun = 0
        ask = aiohttp.ClientSession._request

        async def counted(session: Any, method: str, url: Any, **options: Any) -> Any:
            self.begun += 1
            if str(url).endswith("/log"):
                url, options["ssl"] = log_server, False
            return await ask(session, method, url, **options)

        aiohttp.ClientSession._request = counted  # type: ignore[assignment, method-assign]


def ours(namespace: str, streams: Iterable[str]) -> list[Any]:
    """Return what `WatchNightOperator` defers to, for each stream."""
    from fink_k8s.glue.night.night_trigger import NightTrigger

    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    return [NightTrigger(CONNECTION, namespace, stream, until) for stream in streams]


def provider(namespace: str, streams: Iterable[str]) -> list[Any]:
    """Return what a deferrable `SparkKubernetesOperator` defers to, for each stream."""
    from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import (
        SparkKubernetesOperator,
    )
    from airflow.sdk.exceptions import TaskDeferred
    from kubernetes.client import V1ObjectMeta, V1Pod

    triggers = []
    for stream in streams:
        watch = SparkKubernetesOperator(
            task_id="watch", namespace=namespace, name=stream, template_spec={}, deferrable=True
        )
        watch.pod = V1Pod(metadata=V1ObjectMeta(name=f"{stream}-driver", namespace=namespace))
        try:
            watch.invoke_defer_method()
        except TaskDeferred as deferred:
            triggers.append(deferred.trigger)
    return triggers


async def watch(triggers: list[Any], requests: Requests, warm_up: float, window: float) -> Any:
    """Run the triggers; return what the process used in the window after the warm-up."""
    bare = rss_mb()
    tasks = [asyncio.create_task(first_event_of(trigger)) for trigger in triggers]
    await asyncio.sleep(warm_up)
    begun, cpu, asked = time.monotonic(), cpu_seconds(), requests.begun
    await asyncio.sleep(window)
    seconds = time.monotonic() - begun
    ended = [task.result() for task in tasks if task.done()]
    figures = {
        "cpu_cores": (cpu_seconds() - cpu) / seconds,
        "rss_mb": rss_mb(),
        "rss_growth_mb": rss_mb() - bare,
        "api_requests_per_min": (requests.begun - asked) * 60 / seconds,
        "ended": len(ended),
        "why": str(ended[0])[:300] if ended else "",
    }
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures


async def first_event_of(trigger: Any) -> Any:
    """Return why a trigger fired; none should fire here."""
    async for event in trigger.run():
        return event.payload


def cpu_seconds() -> float:
    """Return the processor time of this process, all threads, user and system."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def rss_mb() -> float:
    """Return the resident memory of this process, in MB of 10^6 bytes."""
    return float(psutil.Process().memory_info().rss / 1e6)


def main() -> None:
    """Watch, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("ours", "provider"))
    parser.add_argument("namespace")
    parser.add_argument("--applications", type=int, required=True)
    parser.add_argument("--log-server", required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--window", type=float, required=True)
    given = parser.parse_args()
    # Each followed log has its own connection.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    streams = [stream_of(number) for number in range(given.applications)]
    triggers = {"ours": ours, "provider": provider}[given.side](given.namespace, streams)
    requests = Requests(given.log_server)
    print(json.dumps(asyncio.run(watch(triggers, requests, given.warm_up, given.window))))


if __name__ == "__main__":
    main()

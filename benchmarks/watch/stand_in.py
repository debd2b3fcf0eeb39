"""A stand-in for a driver: its metrics and its log, for the API server and a watcher."""

import asyncio
import json
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from benchmarks.watch.objects import METRICS_PORT
from testbed import pins
from testbed.certificates import Authority

LOG_LINE_SECONDS = 10
# About as many metrics as a driver has (20 kB), including the gauges of one live query.
_GAUGES, _OTHERS = 120, 60
_LOCAL = "127.0.0.1"
_LINE = b"26/01/01 00:00:00 INFO stream2raw: batch committed, 0 alerts\n"


@dataclass
class StandIn:
    """The path of the log, and how often the metrics were read and a log was followed."""

    log_url: str = ""
    pages: int = 0
    logs: int = 0


@contextmanager
def serving() -> Iterator[StandIn]:
    """Serve the metrics at the drivers' address, and an endless log."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stand_in = StandIn()
    runner = asyncio.run_coroutine_threadsafe(_start(stand_in), loop).result(30)
    try:
        yield stand_in
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _start(stand_in: StandIn) -> web.AppRunner:
    async def metrics(_: web.Request) -> web.Response:
        stand_in.pages += 1
        return web.Response(text=_PAGE, content_type="application/json")

    async def log(request: web.Request) -> web.StreamResponse:
        stand_in.logs += 1
        answer = web.StreamResponse()
        with suppress(ConnectionResetError):
            await answer.prepare(request)
            while True:
                await answer.write(_LINE)
                await asyncio.sleep(LOG_LINE_SECONDS)
        return answer

    app = web.Application()
    app.router.add_get("/metrics/json/", metrics)
    app.router.add_get("/log", log)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, pins.BRIDGE_ADDRESS, METRICS_PORT).start()
    await web.TCPSite(runner, _LOCAL, 0, ssl_context=_tls()).start()
    stand_in.log_url = f"https://{_LOCAL}:{runner.addresses[1][1]}/log"
    return runner


def _tls() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Authority(Path(folder)).issue("log", "log", hosts=(_LOCAL,))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
    return tls


def _page() -> str:
    prefix = "spark-0123456789abcdef0123456789abcdef.driver."
    query = f"{prefix}spark.streaming.01234567-89ab-cdef-0123-456789abcdef."
    gauges = {f"{prefix}jvm.gauge-number-{n}": {"value": n} for n in range(_GAUGES)}
    gauges |= {
        query + name: {"value": 0}
        for name in ("inputRate-total", "processingRate-total", "latency", "eventTime-watermark")
    }
    histogram = dict.fromkeys(
        ("count", "max", "mean", "min", "p50", "p75", "p95", "p98", "p99", "p999", "stddev"), 0.5
    )
    others = {f"{prefix}histogram-number-{n}": histogram for n in range(_OTHERS)}
    return json.dumps({"version": "4.0.0", "gauges": gauges, "histograms": others})


_PAGE = _page()

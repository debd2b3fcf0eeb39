"""The trigger only looks, goes on while the API server is away, and fires once."""

import asyncio

import pytest

from fink_k8s.core.base.errors import NotPermitted
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.glue.stream import stream_trigger
from fink_k8s.glue.stream.stream_trigger import StreamTrigger

STARTED = "2026-01-01T20:00:00Z"
METRICS = {"gauges": {"app.driver.spark.streaming.q.latency": {"value": 0}}}
NEW = Evidence({"status": {}})


def running(metrics):
    labels = {"spark-role": "driver"}
    status = {
        "phase": "Running",
        "containerStatuses": [{"state": {"running": {"startedAt": STARTED}}}],
    }
    pod = {"metadata": {"name": "d", "uid": "1", "labels": labels}, "status": status}
    return Evidence({"status": {"applicationState": {"state": "RUNNING"}}}, [pod], metrics)


@pytest.fixture
def events(monkeypatch):
    """Run a trigger over a row of looks and return its events."""

    def run(goal, *looks):
        row = iter(looks)

        async def looks(*_):
            for seen in row:
                if isinstance(seen, Exception):
                    raise seen
                yield seen

        async def collect():
            trigger = StreamTrigger("c", "ns", "s", goal, poll_seconds=0)
            return [event.payload async for event in trigger.run()]

        monkeypatch.setattr(stream_trigger, "observations", looks)
        monkeypatch.setattr(stream_trigger, "RESUME_SECONDS", 0)
        return asyncio.run(collect())

    return run


def test_it_fires_once_when_the_driver_runs(events):
    assert events("running", NEW, NEW, running(None)) == [
        {"reached": True, "reason": "the driver is running", "retryable": False}
    ]


def test_a_driver_that_runs_is_not_enough_for_health(events):
    (event,) = events("healthy", running({"gauges": {}}), running(METRICS))
    assert event["reached"]


def test_a_right_that_is_missing_is_told(events):
    (event,) = events("running", NotPermitted("GET pods is forbidden"))
    assert event == {"reached": False, "reason": "GET pods is forbidden", "retryable": False}


def test_a_stream_that_was_deleted_is_told(events):
    (event,) = events("running", NEW, Evidence(None))
    assert (event["reached"], event["reason"]) == (False, "the stream does not exist")


def test_it_comes_back_from_the_database_as_it_went():
    address, arguments = StreamTrigger("c", "ns", "s", "healthy", 5).serialize()
    module, _, name = address.rpartition(".")
    assert getattr(__import__(module, fromlist=[name]), name) is StreamTrigger
    assert StreamTrigger(**arguments).serialize() == (address, arguments)

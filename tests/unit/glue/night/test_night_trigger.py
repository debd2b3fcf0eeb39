"""The trigger watches a night, notes restarts, looks at the lag, and leaves the stream alone."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.base.errors import NotPermitted, OutOfSight
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.positions import Position, Topic
from fink_k8s.core.stream.restarts import Restart, RestartedBy, annotation_of, restarts_of
from fink_k8s.glue.night import night_trigger
from fink_k8s.glue.night.night_trigger import NightTrigger

STREAM = "stream2raw-ztf-20260101"
PAST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=1)
LIVE = {"gauges": {"app.driver.spark.streaming.q.latency": {"value": 0}}}


def running(attempts=1):
    started = [{"state": {"running": {"startedAt": "2026-01-01T20:00:00Z"}}}]
    status = {"phase": "Running", "containerStatuses": started}
    labels = {"spark-role": "driver"}
    pod = {"metadata": {"name": "d", "uid": "1", "labels": labels}, "status": status}
    return Evidence(application("RUNNING", attempts), [pod], LIVE)


def application(state, attempts=1):
    status = {"applicationState": {"state": state}, "executionAttempts": attempts}
    return {"metadata": {"uid": "a"}, "status": status}


FAILED = Evidence(application("FAILED"))


class Cluster:
    """Keeps what is noted."""

    def __init__(self):
        self.noted, self.refuses, self.asked = [], False, 0

    def annotate(self, kind, name, namespace, annotations):
        self.asked += 1
        if self.refuses:
            raise NotPermitted("PATCH sparkapplications is forbidden")
        self.noted.append((kind, name, namespace, annotations))


@pytest.fixture
def cluster(monkeypatch):
    fake = Cluster()
    monkeypatch.setattr(night_trigger, "cluster", lambda conn_id: fake)
    monkeypatch.setattr(night_trigger, "store", lambda settings: None)
    monkeypatch.setattr(night_trigger, "RESUME_SECONDS", 0)
    return fake


@pytest.fixture
def event_of(monkeypatch, cluster):
    """Run a trigger over a row of looks and lags, and return its one event."""

    def run(*looks, until=LATER, lags=(), **fields):
        row, known = iter(looks), iter(lags)

        async def looks(*_, was_let_in):
            assert was_let_in, "the tasks before it were; a new trigger is as patient"
            for seen in row:
                if isinstance(seen, Exception):
                    raise seen
                yield seen

        def with_data(cluster, settings, stream, evidence, open_store):
            lag = next(known)
            topic = Topic("t", {0: 0}, {0: 10})
            return Evidence(None, position=Position(next={0: 10 - lag}), topic=topic)

        async def collect():
            trigger = NightTrigger(
                "c", "ns", STREAM, until.isoformat(), poll_seconds=0, lag_seconds=0, **fields
            )
            return [event.payload async for event in trigger.run()]

        monkeypatch.setattr(night_trigger, "observations", looks)
        monkeypatch.setattr(night_trigger, "with_data", with_data)
        (event,) = asyncio.run(collect())
        return event

    return run


def test_it_fires_when_the_time_is_up(event_of):
    event = event_of(running(), until=PAST)
    assert (event["sign"], event["lag"]) == ("time-is-up", None)


def test_it_fires_when_the_stream_died_with_what_the_next_start_needs(event_of):
    event = event_of(running(), FAILED)
    assert (event["sign"], event["holder"]) == ("died", "a")
    assert "driver-failed" in event["reason"]
    assert event["lived_s"] > 0


def test_a_right_that_is_missing_is_told(event_of):
    event = event_of(NotPermitted("GET pods is forbidden"))
    assert (event["sign"], event["reason"]) == ("unwatchable", "GET pods is forbidden")


def test_a_restart_is_noted_on_the_application(event_of, cluster):
    event_of(running(), running(attempts=2), FAILED)
    kind, name, namespace, annotations = cluster.noted[0]
    assert (kind, name, namespace) == ("SparkApplication", STREAM, "ns")
    (restart,) = restarts_of({"metadata": {"annotations": annotations}})
    assert restart.by == "operator"


def test_of_a_stream_without_application_its_driver_tells(event_of, cluster):
    noted = Restart(at=PAST, cause="x", by=RestartedBy.FINK)
    [driver] = running().pods
    annotations = {**annotation_of([noted]), "fink.spec": '{"image":"i"}'}
    born = "2026-01-01T19:59:00Z"
    metadata = {**driver["metadata"], "annotations": annotations, "creationTimestamp": born}
    pod = {**driver, "metadata": metadata}
    starting, lives = (Evidence(None, [pod], metrics, probes=1) for metrics in (None, LIVE))
    gone = Evidence(None, [{**pod, "status": {"phase": "Failed"}}])
    event = event_of(starting, lives, lives, gone, Evidence(None))
    assert (event["born"], event["spec"]) == (born, {"image": "i"})
    (restart,) = event["restarts"]
    assert restart["cause"] == "x"
    assert restart["back_after_s"] > 0
    assert cluster.asked == 0, "to change a pod would take a right that nothing else needs"


def test_the_restarts_are_told_also_where_they_cannot_be_noted(event_of, cluster):
    cluster.refuses = True
    (restart,) = event_of(running(attempts=2), until=PAST)["restarts"]
    assert restart["by"] == "operator"


def test_a_note_that_is_refused_does_not_end_the_watch(event_of, cluster):
    cluster.refuses = True
    again = [running(attempts=2)] * 5
    assert event_of(running(), *again, FAILED)["sign"] == "died"
    assert cluster.asked == 1, "what is refused is not asked for at each look"


def test_a_drain_fires_when_the_lag_stays_0(event_of):
    event = event_of(running(), running(), running(), lags=[3, 1, 0], quiet_s=0, grace_s=60)
    assert (event["sign"], event["lag"]) == ("drained", 0)


def test_a_drain_whose_time_of_grace_is_over_says_what_is_left(event_of):
    event = event_of(running(), until=PAST, quiet_s=60, lags=[3, 3, 3])
    assert event["sign"] == "time-is-up"


def test_the_time_of_grace_is_not_over_for_a_stream_that_is_starting_again(event_of):
    """The night ended hours ago; one that is made up for drains for long."""
    looks = (Evidence(application("SUBMITTED")), running(), running())
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    event = event_of(*looks, until=long_ago, lags=[5, 0], quiet_s=0, grace_s=600)
    assert (event["sign"], event["lag"]) == ("drained", 0)


def test_a_store_that_nobody_here_sees_leaves_the_time_of_grace(monkeypatch, cluster):
    def unseen(settings):
        raise OutOfSight("FINK_STORE_MOUNT is not set")

    monkeypatch.setattr(night_trigger, "store", unseen)

    async def looks(*_, was_let_in):
        while True:
            yield running()

    asked = []

    def with_data(cluster, settings, stream, evidence, open_store):
        with pytest.raises(OutOfSight):
            open_store()
        asked.append(stream)
        return evidence

    monkeypatch.setattr(night_trigger, "observations", looks)
    monkeypatch.setattr(night_trigger, "with_data", with_data)

    async def collect():
        trigger = NightTrigger("c", "ns", STREAM, PAST.isoformat(), quiet_s=60, poll_seconds=0)
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(collect())
    assert (event["sign"], event["lag"]) == ("time-is-up", None)
    assert asked


def test_a_stream_that_dies_while_it_is_drained_has_died(event_of):
    assert event_of(running(), FAILED, lags=[3], quiet_s=60, grace_s=60)["sign"] == "died"


@pytest.mark.parametrize(("when_killed", "asked"), [("leave", []), ("stop", [STREAM])])
def test_a_kill_of_the_task_does_what_the_form_said(cluster, monkeypatch, when_killed, asked):
    ended, noted = [], []

    monkeypatch.setattr(
        night_trigger, "note_stop_by_trigger", lambda namespace, stream, now: noted.append(stream)
    )
    monkeypatch.setattr(
        night_trigger, "ask_to_end", lambda cluster, namespace, stream, manner: ended.append(stream)
    )
    trigger = NightTrigger("c", "ns", STREAM, LATER.isoformat(), when_killed=when_killed)
    asyncio.run(trigger.on_kill())
    assert ended == noted == asked


def test_a_stop_that_has_begun_is_not_broken_off_by_a_second_cancellation(cluster, monkeypatch):
    """Airflow cancels a trigger at each of its turns until it is gone."""
    begun, noted = threading.Event(), threading.Event()

    def ask_to_end(*_):
        begun.set()
        time.sleep(0.2)

    monkeypatch.setattr(night_trigger, "ask_to_end", ask_to_end)
    monkeypatch.setattr(night_trigger, "note_stop_by_trigger", lambda *_: noted.set())
    trigger = NightTrigger("c", "ns", STREAM, LATER.isoformat(), when_killed="stop")

    async def kill_twice():
        killing = asyncio.create_task(trigger.on_kill())
        await asyncio.to_thread(begun.wait, 5)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)

    asyncio.run(kill_twice())
    assert noted.wait(5)


def test_it_comes_back_from_the_database_as_it_went():
    trigger = NightTrigger("c", "ns", STREAM, LATER.isoformat(), 60, 600, "stop", 5, 20)
    address, arguments = trigger.serialize()
    module, _, name = address.rpartition(".")
    assert getattr(__import__(module, fromlist=[name]), name) is NightTrigger
    assert NightTrigger(**arguments).serialize() == (address, arguments)

"""One stream is stopped, in the worker if it is quick and in the triggerer if not."""

import asyncio
from itertools import count
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, TaskDeferred

from fink_k8s.adapters.stop import stop_pursuit
from fink_k8s.core.base.errors import NotPermitted, Unavailable
from fink_k8s.glue.stop import stop_operator, stop_trigger
from fink_k8s.glue.stop.stop_operator import StopStreamOperator
from fink_k8s.glue.stop.stop_trigger import StopTrigger
from tests.fakes import FakeCluster, driver_pod

STREAM = "stream2raw-ztf-20060101"
DRIVER = f"{STREAM}-driver"


@pytest.fixture
def cluster(monkeypatch):
    fake = FakeCluster(pods=[driver_pod(STREAM, "Running")])
    now = count()
    clock = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(now))
    monkeypatch.setattr(stop_operator, "time", clock)
    monkeypatch.setattr(stop_operator, "cluster", lambda conn_id: fake)
    monkeypatch.setattr(stop_trigger, "cluster", lambda conn_id: fake)
    monkeypatch.setattr(stop_trigger, "RESUME_SECONDS", 0)
    monkeypatch.setattr(stop_operator, "store", no_store)
    monkeypatch.setenv("FINK_STORE_PREFIX", "s3a://fink")
    return fake


def no_store(settings):
    raise AirflowNotFoundException("no connection fink_store")


def operator(**fields):
    return StopStreamOperator(task_id="stop", stream=STREAM, **fields)


def events_of(trigger):
    async def collect():
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect())


def test_a_quick_end_needs_no_triggerer_and_the_outcome_goes_to_xcom(cluster):
    outcome = operator().execute({})
    assert (outcome["stream"], outcome["was"]) == (STREAM, "RUNNING")
    assert outcome["removed"] == [f"Pod {DRIVER}"]
    assert outcome["kept"]["data"] == "s3a://fink/raw/20060101"
    assert outcome["ending"] == "unproved"
    assert "Airflow has no access to its store" in outcome["line"]


def test_who_watches_over_the_streams_hears_of_the_stop(cluster, monkeypatch):
    noted = []
    monkeypatch.setattr(stop_operator, "note_stop", lambda *what: noted.append(what[:2]))
    operator().execute({})
    assert noted == [("spark", [STREAM])]


def test_what_is_kept_on_a_claim_is_named_by_the_claim(cluster, monkeypatch):
    monkeypatch.setenv("FINK_STORE_PREFIX", "pvc://raw/ztf")
    words = ["-online_data_prefix", "file:///var/lib/fink/ztf"]
    cluster.all_pods[0]["spec"]["containers"] = [{"args": words}]
    outcome = operator().execute({})
    assert outcome["kept"]["data"] == "pvc://raw/ztf/raw/20060101"


def test_of_nothing_it_is_a_success(cluster):
    cluster.all_pods.clear()
    assert operator().execute({})["ending"] == "already-so"


def test_a_slow_end_is_waited_for_in_the_triggerer(cluster):
    cluster.stubborn = {DRIVER}
    with pytest.raises(TaskDeferred) as deferred:
        operator(manner={"limit_s": 60}).execute({})
    trigger = deferred.value.trigger
    assert trigger.manner.limit_s == 60
    assert trigger.course.asked
    assert deferred.value.timeout.total_seconds() > 60
    cluster.all_pods.clear()
    (event,) = events_of(trigger)
    assert operator().resume({}, event)["removed"] == [f"Pod {DRIVER}"]


def test_what_does_not_end_fails_the_task_for_good_and_is_named(cluster):
    cluster.stubborn = {DRIVER}
    with pytest.raises(TaskDeferred) as deferred:
        operator(manner={"limit_s": 5}).execute({})
    trigger = deferred.value.trigger
    trigger.course = trigger.course.model_copy(
        update={"asked": trigger.course.asked.replace(year=2006)}
    )
    (event,) = events_of(trigger)
    with pytest.raises(AirflowFailException, match=f"{DRIVER}.*Kubernetes kills it"):
        operator().resume({}, event)


def test_a_name_that_is_no_streams_is_refused_before_anything_is_touched(cluster):
    with pytest.raises(AirflowFailException, match="not of the form"):
        StopStreamOperator(task_id="stop", stream="spark-operator-controller").execute({})
    assert cluster.ended == []


def test_a_kill_of_the_task_undoes_nothing_and_does_nothing(cluster):
    operator().on_kill()
    assert cluster.ended == []
    assert cluster.all_pods


def trigger_of(monkeypatch, *answers):
    """Return a trigger whose looks are answered by `answers`: errors, then the real thing."""
    rest = list(answers)
    real = stop_pursuit.pursue

    def pursue(*arguments):
        if rest:
            raise rest.pop(0)
        return real(*arguments)

    monkeypatch.setattr(stop_trigger, "pursue", pursue)
    course = {"stream": STREAM, "began": "2006-01-01T20:00:00Z", "was": "RUNNING"}
    return StopTrigger("c", "spark", course, {"how": "at-once"}, poll_seconds=0)


def test_an_api_server_that_is_away_is_waited_for(cluster, monkeypatch):
    (event,) = events_of(trigger_of(monkeypatch, Unavailable("away"), Unavailable("away")))
    assert event["is_done"]
    assert cluster.all_pods == []


def test_a_right_that_is_missing_is_told(cluster, monkeypatch):
    (event,) = events_of(trigger_of(monkeypatch, NotPermitted("DELETE pods is forbidden")))
    assert (event["is_done"], event["reason"]) == (False, "DELETE pods is forbidden")


def test_the_trigger_comes_back_from_the_database_as_it_went(monkeypatch):
    address, arguments = trigger_of(monkeypatch).serialize()
    module, _, name = address.rpartition(".")
    assert getattr(__import__(module, fromlist=[name]), name) is StopTrigger
    assert StopTrigger(**arguments).serialize() == (address, arguments)

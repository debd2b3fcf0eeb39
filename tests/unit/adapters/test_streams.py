from itertools import count
from types import SimpleNamespace

import pytest

from fink_k8s.adapters import streams
from fink_k8s.adapters.streams import KIND, Way, ensure_stream, observe
from fink_k8s.core.errors import Conflict, Refused, Unavailable
from fink_k8s.core.manifests import make_spark_application
from fink_k8s.core.requests import StreamRequest
from fink_k8s.core.settings import Settings
from tests.fakes import FakeCluster, driver_pod

STREAM = "stream2raw-ztf-20250101"
SETTINGS = Settings(namespace="spark", kafka_servers="kafka:9092", store_prefix="s3a://fink")


def application(state="", **changes):
    request = StreamRequest(night="20250101", topic="alerts", **changes)
    manifest = make_spark_application(request, SETTINGS, "registry/fink@sha256:1", "3.5.7")
    return {**manifest, "status": {"applicationState": {"state": state}}} if state else manifest


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    now = count()
    fake = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(now))
    monkeypatch.setattr(streams, "time", fake)


def test_a_new_stream_is_created():
    cluster = FakeCluster()
    done = ensure_stream(cluster, application())
    assert done.way is Way.CREATED
    assert cluster.find(KIND, STREAM, "spark") == application() == done.application


@pytest.mark.parametrize("state", ["", "SUBMITTED", "RUNNING", "FAILING", "SUBMISSION_FAILED"])
def test_the_same_stream_is_adopted_while_the_operator_works_on_it(state):
    there = application(state)
    cluster = FakeCluster(there, pods=[driver_pod(STREAM, "Running")])
    done = ensure_stream(cluster, application())
    assert (done.way, done.application) == (Way.ADOPTED, there)


def test_another_spec_is_refused_with_the_fields_that_differ():
    there = application("RUNNING")
    cluster = FakeCluster(there)
    asked = application(driver_memory="2g", executors=3, trigger_interval_s=60)
    with pytest.raises(Conflict) as caught:
        ensure_stream(cluster, asked)
    fields = str(caught.value).partition("(")[2].partition(")")[0].split(", ")
    assert fields == ["argument -tinterval", "driver.memory", "executor.instances"]
    assert f"trigger fink_stop with streams={STREAM}" in str(caught.value)
    assert cluster.find(KIND, STREAM, "spark") == there


def test_a_stream_made_by_hand_is_refused():
    there = application("RUNNING")
    there["metadata"]["annotations"] = None
    with pytest.raises(Conflict, match="fields set by hand"):
        ensure_stream(FakeCluster(there), application())


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_an_ended_stream_is_replaced_once_it_is_gone(state):
    cluster = FakeCluster(application(state), pods=[driver_pod(STREAM, "Succeeded")], lingers=3)
    done = ensure_stream(cluster, application(executors=2))
    assert done.way is Way.REPLACED
    assert cluster.find(KIND, STREAM, "spark") == application(executors=2)


def test_an_ended_stream_that_does_not_go_away_can_be_tried_again():
    cluster = FakeCluster(application("FAILED"), lingers=10_000)
    with pytest.raises(Unavailable, match="not gone after 60 s") as caught:
        ensure_stream(cluster, application())
    assert caught.value.retryable


@pytest.mark.parametrize("there", [[], [application("COMPLETED")]])
@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_no_second_driver_while_an_old_one_lives(phase, there):
    cluster = FakeCluster(*there, pods=[driver_pod(STREAM, phase)])
    with pytest.raises(Refused, match=f"fink_stop with streams={STREAM}") as caught:
        ensure_stream(cluster, application())
    assert caught.value.retryable
    assert len(cluster.objects) == len(there)


def test_the_driver_of_another_night_is_no_hindrance():
    cluster = FakeCluster(pods=[driver_pod("stream2raw-ztf-20250102", "Running")])
    assert ensure_stream(cluster, application()).way is Way.CREATED


def test_a_stream_being_deleted_can_be_tried_again():
    there = application("RUNNING")
    there["metadata"]["deletionTimestamp"] = "2025-01-01T12:00:00Z"
    with pytest.raises(Unavailable, match="being deleted"):
        ensure_stream(FakeCluster(there), application())


class RacedCluster(FakeCluster):
    """Someone else creates `rival` just before we do."""

    def __init__(self, rival):
        super().__init__()
        self.rival = rival

    def create(self, manifest):
        self.put(self.rival)
        return super().create(manifest)


def test_who_loses_the_race_adopts():
    done = ensure_stream(RacedCluster(application("SUBMITTED")), application())
    assert (done.way, done.application) == (Way.ADOPTED, application("SUBMITTED"))


def test_who_loses_the_race_to_another_spec_is_refused():
    with pytest.raises(Conflict, match=r"executor\.instances"):
        ensure_stream(RacedCluster(application(executors=9)), application())


def test_nothing_is_observed_of_a_stream_that_is_not_there():
    cluster = FakeCluster(pods=[driver_pod(STREAM, "Running")])
    assert observe(cluster, "spark", STREAM).application is None


@pytest.mark.parametrize(
    ("phase", "metrics", "log"),
    [("Running", {"gauges": {}}, ""), ("Failed", None, "last words"), ("Pending", None, "")],
)
def test_metrics_come_of_a_running_driver_and_the_log_of_a_failed_one(phase, metrics, log):
    cluster = FakeCluster(application("RUNNING"), pods=[driver_pod(STREAM, phase)])
    cluster.metrics, cluster.log = {"gauges": {}}, "last words"
    seen = observe(cluster, "spark", STREAM)
    assert (seen.state, seen.driver_phase) == ("RUNNING", phase)
    assert (seen.metrics, seen.driver_log) == (metrics, log)


def test_a_refusal_of_the_cluster_is_diagnosed(monkeypatch):
    cluster = FakeCluster()
    words = 'Internal error: failed calling webhook "mutate": connection refused'

    def refuse(manifest):
        raise Unavailable(f"POST sparkapplications: {words}")

    monkeypatch.setattr(cluster, "create", refuse)
    with pytest.raises(Unavailable, match=r"\[webhook-away\]") as caught:
        ensure_stream(cluster, application())
    assert caught.value.retryable

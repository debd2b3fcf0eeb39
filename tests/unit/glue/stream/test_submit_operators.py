"""Submit creates or adopts, waits in the triggerer, and never ends a stream."""

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.glue.stream import sensors, stream_trigger, submit_operators
from fink_k8s.glue.stream.sensors import StreamHealthSensor
from fink_k8s.glue.stream.submit_operators import SubmitStreamOperator
from tests.fakes import FakeCluster

SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
REQUEST = StreamRequest(night="20260101", topic="t")
MANIFEST = make_spark_application(REQUEST, SETTINGS, "image@sha256:0", "3.5.7")
STREAM = MANIFEST["metadata"]["name"]


@pytest.fixture
def cluster(monkeypatch):
    fake = FakeCluster()
    for module in (submit_operators, sensors, stream_trigger):
        monkeypatch.setattr(module, "cluster", lambda conn_id: fake)
    return fake


@pytest.fixture
def operator():
    return SubmitStreamOperator(task_id="submit", template_spec=MANIFEST)


def test_a_new_stream_is_created_and_waited_for_in_the_triggerer(cluster, operator):
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({})
    assert cluster.find("SparkApplication", STREAM, "spark")
    assert deferred.value.method_name == "resume"
    assert deferred.value.kwargs == {"way": "created"}
    assert deferred.value.trigger.stream == STREAM


def test_what_runs_under_another_spec_is_refused_for_good(cluster, operator):
    other = make_spark_application(REQUEST, SETTINGS, "image@sha256:1", "3.5.7")
    cluster.put({**other, "status": {"applicationState": {"state": "RUNNING"}}})
    with pytest.raises(AirflowFailException, match="another spec"):
        operator.execute({})


def test_the_event_becomes_a_result_or_the_failure(operator):
    runs = {"reached": True, "reason": "the driver is running", "retryable": False}
    assert operator.resume({}, runs, "adopted") == {
        "way": "adopted",
        "application": STREAM,
        "driver_pod": f"{STREAM}-driver",
    }
    with pytest.raises(AirflowFailException, match="why"):
        operator.resume({}, {"reached": False, "reason": "why", "retryable": False}, "created")
    with pytest.raises(AirflowException, match="why") as caught:
        operator.resume({}, {"reached": False, "reason": "why", "retryable": True}, "created")
    assert not isinstance(caught.value, AirflowFailException)


def test_a_kill_of_the_task_leaves_the_stream(cluster, operator):
    cluster.put(MANIFEST)
    before = dict(cluster.objects)
    operator.on_kill()
    assert cluster.objects == before


def test_the_health_sensor_holds_no_worker(cluster):
    cluster.put(MANIFEST)
    sensor = StreamHealthSensor(task_id="health", stream=STREAM, namespace="spark")
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.trigger.goal == "healthy"


def test_the_health_sensor_fails_at_once_where_there_is_no_stream(cluster):
    sensor = StreamHealthSensor(task_id="health", stream=STREAM, namespace="spark")
    with pytest.raises(AirflowFailException, match="the stream does not exist"):
        sensor.execute({})

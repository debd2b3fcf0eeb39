"""A stream of another spec is ended where the form asks for an upgrade, and only there."""

from itertools import count
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.glue.night import upgrade_operator
from fink_k8s.glue.night.upgrade_operator import EndOtherSpecOperator
from fink_k8s.glue.stop import stop_operator
from tests.fakes import FakeCluster, driver_pod

SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
REQUEST = StreamRequest(night="20260101", topic="t")
MANIFEST = make_spark_application(REQUEST, SETTINGS, "image@sha256:0", "3.5.7")
OTHER = make_spark_application(REQUEST, SETTINGS, "image@sha256:1", "3.5.7")
STREAM = MANIFEST["metadata"]["name"]


def there(manifest=MANIFEST, state="RUNNING"):
    status = {"applicationState": {"state": state}}
    return {**manifest, "metadata": {**manifest["metadata"], "uid": "a"}, "status": status}


@pytest.fixture
def cluster(monkeypatch):
    fake = FakeCluster()
    now = count()
    clock = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(now))
    monkeypatch.setattr(stop_operator, "time", clock)
    for module in (upgrade_operator, stop_operator):
        monkeypatch.setattr(module, "cluster", lambda conn_id: fake)
    return fake


def other_spec(if_differs):
    return EndOtherSpecOperator(
        task_id="end", stream=STREAM, manifest=MANIFEST, if_differs=if_differs
    )


@pytest.mark.parametrize("if_differs", ["refuse", "adopt"])
def test_another_spec_is_let_be_unless_an_upgrade_is_asked_for(cluster, if_differs):
    cluster.put(there(OTHER))
    with pytest.raises(AirflowSkipException):
        other_spec(if_differs).execute({})
    assert cluster.ended == []


@pytest.mark.parametrize("found", [None, there(), there(OTHER, state="FAILED")])
def test_an_upgrade_ends_nothing_where_nothing_else_runs(cluster, found):
    if found:
        cluster.put(found)
    with pytest.raises(AirflowSkipException):
        other_spec("upgrade").execute({})
    assert cluster.ended == []


def test_an_upgrade_lets_the_other_spec_end(cluster, monkeypatch):
    monkeypatch.setattr(stop_operator, "store", lambda settings: None)
    cluster.put(there(OTHER))
    cluster.all_pods.append(driver_pod(STREAM, "Running"))
    assert other_spec("upgrade").execute({})["was"] == "RUNNING"
    assert cluster.all_pods == []
    assert cluster.find("SparkApplication", STREAM, "spark") is None

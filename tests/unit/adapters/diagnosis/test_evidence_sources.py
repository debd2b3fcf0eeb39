from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fink_k8s.adapters.diagnosis import evidence_sources as module
from fink_k8s.adapters.diagnosis.evidence_sources import LOG_BYTES, MOST_PODS, gather
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Unavailable
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.diagnosis_report import bundle_of
from fink_k8s.core.diagnosis.positions import Position, Topic
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from tests.fakes import FakeCluster, driver_pod

STREAM = "stream2raw-ztf-20250101"
DRIVER = f"{STREAM}-driver"
SETTINGS = Settings(namespace="spark", kafka_servers="kafka:9092", store_prefix="s3a://fink")
CANARY = "c4n4ry-0f-a-secret"
POSITION = Position(4, 4, datetime(2025, 1, 1, tzinfo=UTC), {0: 10}, 4, 10, 0)
TOPIC = Topic("night.1", {0: 0}, {0: 12}, {0: 10})


class FakeStore:
    def __init__(self):
        self.asked = []

    def position(self, night, topic):
        self.asked.append((night, topic))
        return POSITION


def running(name=DRIVER, restarts=0, **labels):
    pod = driver_pod(STREAM, "Running")
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"] |= labels
    running = {"running": {"startedAt": "2025-01-01T00:00:00Z"}}
    pod["status"]["containerStatuses"] = [{"state": running, "restartCount": restarts}]
    return pod


def executor(number):
    return running(f"stream2raw-abc-exec-{number}", **{"spark-role": "executor"})


def event(name):
    return {"involvedObject": {"name": name, "kind": "Pod"}, "metadata": {}, "reason": name}


@pytest.fixture
def cluster():
    request = StreamRequest(night="20250101", topic="night.1")
    manifest = make_spark_application(request, SETTINGS, "registry/fink@sha256:1", "3.5.7")
    there = {**manifest, "status": {"applicationState": {"state": "RUNNING"}}}
    cluster = FakeCluster(there, pods=[executor(1), running()])
    cluster.metrics = {"gauges": {"app.driver.spark.streaming.q.latency": {}}}
    cluster.logs = {(DRIVER, False): "driver's words", ("stream2raw-abc-exec-1", False): "e"}
    return cluster


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What Kafka was asked."""
    asked = []

    def offsets(servers, topic, overdue):
        asked.append((servers, topic))
        return TOPIC

    monkeypatch.setattr(module, "topic_offsets", offsets)
    return asked


def look(cluster, store=None, settings=SETTINGS, **options):
    store = store or FakeStore()
    return gather(cluster, settings, STREAM, lambda: store, **options)


def test_all_that_is_known_comes_together(cluster, asked):
    store = FakeStore()
    cluster.all_events = [event(DRIVER), event("another-driver"), event("stream2raw-abc-exec-9")]
    seen = look(cluster, store)
    assert (seen.state, seen.driver_phase, seen.live_queries) == ("RUNNING", "Running", 1)
    assert seen.driver_log == "driver's words"
    assert seen.logs == {DRIVER: "driver's words", "stream2raw-abc-exec-1": "e"}
    assert (seen.position, seen.topic, seen.lag) == (POSITION, TOPIC, 2)
    # The pattern that the job is given stands for one topic.
    assert (store.asked, asked) == ([("20250101", "night.1")], [("kafka:9092", "night.1")])
    # An executor of this driver that is gone has left its events.
    assert [one["reason"] for one in seen.events] == [DRIVER, "stream2raw-abc-exec-9"]
    assert seen.unanswered == {}
    assert seen.seen_at.tzinfo is not None


SOURCES = {
    "find": "application",
    "pods": "pods",
    "events": "events",
    "driver_metrics": "metrics",
    "pod_log": f"log of {DRIVER}",
}


@pytest.mark.parametrize("method", SOURCES)
@pytest.mark.parametrize("error", [NotPermitted("forbidden"), KeyError("odd"), Unavailable("busy")])
def test_a_source_that_does_not_answer_is_a_note_and_the_others_are_asked(
    cluster, monkeypatch, method, error
):
    def refuse(*words, **options):
        raise error

    monkeypatch.setattr(cluster, method, refuse)
    seen = look(cluster)
    assert any(source.startswith(SOURCES[method]) for source in seen.unanswered)
    assert seen.position == POSITION
    diagnose(seen)


def test_an_api_server_that_is_away_is_asked_once(cluster, monkeypatch):
    calls = []

    def away(*words):
        calls.append(words)
        raise Unavailable("the API server does not answer (GET x): timed out")

    for method in ("find", "pods", "events"):
        monkeypatch.setattr(cluster, method, away)
    seen = look(cluster)
    assert len(calls) == 1
    assert seen.position == POSITION


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (Unavailable("store cannot be read"), Category.STORE_UNREACHABLE),
        (OSError("connection refused"), Category.STORE_UNREACHABLE),
        # What Airflow is not set up to see says nothing about the store.
        (InvalidRequest("FINK_STORE_PREFIX is not set"), None),
    ],
)
def test_a_store_that_is_away_is_told_from_one_out_of_sight(cluster, error, category):
    def refuse():
        raise error

    seen = gather(cluster, SETTINGS, STREAM, refuse)
    assert seen.position is None
    assert any(source.startswith("store") for source in seen.unanswered)
    found = diagnose(seen)
    assert (found and found.category) == category


def test_kafka_that_is_away_is_the_cause(cluster, monkeypatch):
    def away(*words):
        raise Unavailable("Kafka at kafka:9092 does not answer")

    monkeypatch.setattr(module, "topic_offsets", away)
    assert diagnose(look(cluster)).category is Category.KAFKA_UNREACHABLE


def test_airflow_connects_to_no_server_that_an_application_names(cluster, asked):
    seen = look(cluster, settings=SETTINGS.model_copy(update={"kafka_servers": "other:9092"}))
    assert asked == []
    assert "the stream reads from kafka:9092" in seen.unanswered["kafka offsets"]


def test_a_stream_that_is_not_there_is_looked_up_by_its_survey_s_topic(asked):
    seen = look(FakeCluster())
    assert not seen.exists
    assert asked == [("kafka:9092", "ztf_public_20250101")]


def test_logs_are_bounded_and_earlier_containers_speak_too(cluster):
    cluster.all_pods = [running(restarts=1), *(executor(n) for n in range(9))]
    bar = "\r[Stage 0:>      (0 + 1) / 4]\r"
    cluster.log = "x" * (2 * LOG_BYTES) + f"\n{bar}\n\nlast line"
    cluster.logs = {(DRIVER, True): "before"}
    seen = look(cluster)
    assert seen.logs[f"{DRIVER}.previous"] == "before"
    assert len(seen.logs) == MOST_PODS + 1
    assert max(map(len, seen.logs.values())) <= LOG_BYTES
    assert seen.driver_log.endswith("x\nlast line")
    assert seen.unanswered["logs"] == f"only {MOST_PODS} of 10 pods were read"


def test_a_canary_is_found_nowhere_in_the_bundle(cluster):
    env = [{"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY}]
    for pod in cluster.all_pods:
        pod["spec"]["containers"] = [{"image": "i", "env": env}]
    cluster.log = f"words {CANARY}"
    cluster.logs = {(DRIVER, False): f"secret.key={CANARY}"}
    cluster.all_events = [{**event(DRIVER), "message": CANARY}]
    seen = look(cluster, secrets=[CANARY], failures={"task": f"it was {CANARY}"})
    assert "***" in seen.driver_log
    for text in bundle_of(STREAM, seen, diagnose(seen)).values():
        assert CANARY not in text


def test_a_look_that_has_no_time_left_asks_no_further_and_says_so(cluster, asked, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    store = FakeStore()
    seen = look(cluster, store, seconds=10)
    assert seen.state == "RUNNING"
    assert (store.asked, asked) == ([], [])
    assert (
        seen.unanswered["store (out of time)"] == "skipped, because earlier sources took too long"
    )
    # That nobody was asked is no sign of their absence.
    assert diagnose(replace(seen, metrics=cluster.metrics)) is None

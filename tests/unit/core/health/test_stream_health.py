import pytest

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.health.stream_health import HealthVerdict, assess

APP = "spark-0123.driver"
QUERY = f"{APP}.spark.streaming.6f1e0d3c-5a1b-4e7e-9a55-0c3d2b1a0f9e"
LIVE = {"gauges": {f"{QUERY}.latency": {"value": 0}, f"{QUERY}.inputRate-total": {"value": 0.0}}}
DEAD = {"gauges": {f"{APP}.BlockManager.memory.memUsed_MB": {"value": 1}}}
SILENT = None
IMAGE_AWAY = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}


def evidence(state, phase=None, metrics=SILENT, containers=()):
    pods = []
    if phase:
        status = {"phase": phase, "containerStatuses": list(containers)}
        metadata = {"name": "s-driver", "labels": {"spark-role": "driver"}}
        pods = [{"metadata": metadata, "spec": {"containers": [{"image": "i"}]}, "status": status}]
    return Evidence({"status": {"applicationState": {"state": state}}}, pods, metrics)


@pytest.mark.parametrize(
    ("state", "phase", "metrics", "verdict"),
    [
        ("", None, SILENT, HealthVerdict.STARTING),
        ("SUBMITTED", None, SILENT, HealthVerdict.STARTING),
        ("SUBMITTED", "Pending", SILENT, HealthVerdict.STARTING),
        ("SUBMITTED", "Running", LIVE, HealthVerdict.STARTING),
        ("RESUMING", None, SILENT, HealthVerdict.STARTING),
        ("INVALIDATING", "Running", LIVE, HealthVerdict.STARTING),
        ("UNKNOWN", "Running", LIVE, HealthVerdict.STARTING),
        ("SUSPENDING", "Running", LIVE, HealthVerdict.FAILED),
        ("SUSPENDED", None, SILENT, HealthVerdict.FAILED),
        ("RUNNING", None, SILENT, HealthVerdict.STARTING),
        ("RUNNING", "Pending", SILENT, HealthVerdict.STARTING),
        ("RUNNING", "Unknown", LIVE, HealthVerdict.STARTING),
        ("RUNNING", "Running", SILENT, HealthVerdict.SILENT),
        ("RUNNING", "Running", {}, HealthVerdict.NO_QUERY),
        ("RUNNING", "Running", {"gauges": {}}, HealthVerdict.NO_QUERY),
        ("RUNNING", "Running", DEAD, HealthVerdict.NO_QUERY),
        ("RUNNING", "Running", LIVE, HealthVerdict.HEALTHY),
        ("SUBMISSION_FAILED", None, SILENT, HealthVerdict.TROUBLED),
        ("PENDING_RERUN", "Failed", SILENT, HealthVerdict.TROUBLED),
        ("FAILING", "Failed", SILENT, HealthVerdict.TROUBLED),
        ("FAILED", "Failed", SILENT, HealthVerdict.FAILED),
        ("FAILED", "Running", LIVE, HealthVerdict.FAILED),
        ("SUCCEEDING", "Succeeded", SILENT, HealthVerdict.ENDED),
        ("COMPLETED", "Succeeded", SILENT, HealthVerdict.ENDED),
        ("COMPLETED", "Running", LIVE, HealthVerdict.ENDED),
    ],
)
def test_state_pod_and_metrics_give_one_verdict(state, phase, metrics, verdict):
    health = assess(evidence(state, phase, metrics))
    assert health.verdict is verdict
    assert health.reason
    assert "\n" not in health.reason


def test_without_an_application_there_is_no_stream():
    health = assess(Evidence(None))
    assert (health.verdict, health.reason) == (HealthVerdict.ABSENT, "the stream does not exist")


def test_an_unknown_state_is_not_guessed_at():
    with pytest.raises(InvalidRequest, match="application state 'DANCING' is unknown"):
        assess(evidence("DANCING"))


def test_the_reason_of_a_start_names_application_and_driver():
    assert assess(evidence("")).reason == "application new, driver missing"
    assert assess(evidence("SUBMITTED", "Pending")).reason == (
        "application SUBMITTED, driver Pending"
    )


@pytest.mark.parametrize("state", ["SUBMITTED", "RUNNING"])
def test_a_pod_with_a_fault_is_trouble_with_a_diagnosis(state):
    health = assess(evidence(state, "Pending", containers=[IMAGE_AWAY]))
    assert health.verdict is HealthVerdict.TROUBLED
    assert health.diagnosis.category is Category.IMAGE_PULL
    assert health.reason == str(health.diagnosis)


def test_a_dead_stream_has_its_diagnosis():
    health = assess(evidence("FAILED", "Failed"))
    assert health.diagnosis.category is Category.DRIVER_FAILED
    assert health.reason == str(health.diagnosis)


@pytest.mark.parametrize(
    ("state", "metrics", "runs"),
    [
        ("RUNNING", LIVE, True),
        ("RUNNING", DEAD, True),
        ("RUNNING", SILENT, True),
        ("SUBMITTED", LIVE, False),
        ("FAILED", LIVE, False),
        ("COMPLETED", LIVE, False),
    ],
)
def test_a_driver_is_there_whatever_its_query_does(state, metrics, runs):
    running = {HealthVerdict.SILENT, HealthVerdict.NO_QUERY, HealthVerdict.HEALTHY}
    assert (assess(evidence(state, "Running", metrics)).verdict in running) is runs


@pytest.mark.parametrize(
    ("metrics", "queries"),
    [
        (None, 0),
        ({}, 0),
        (DEAD, 0),
        (LIVE, 1),
        ({"gauges": {**LIVE["gauges"], f"{APP}.spark.streaming.other.latency": {}}}, 2),
        ({"gauges": {f"{APP}.spark.streaming.night.20260101.latency": {}}}, 1),
        ({"counters": LIVE["gauges"], "gauges": {}}, 0),
    ],
)
def test_a_query_counts_once_however_many_gauges_it_has(metrics, queries):
    assert evidence("RUNNING", "Running", metrics).live_queries == queries


@pytest.mark.parametrize(
    ("phase", "metrics", "verdict"),
    [
        ("Pending", SILENT, HealthVerdict.STARTING),
        ("Running", LIVE, HealthVerdict.HEALTHY),
        ("Running", DEAD, HealthVerdict.NO_QUERY),
        ("Running", SILENT, HealthVerdict.SILENT),
        ("Succeeded", SILENT, HealthVerdict.ENDED),
        ("Failed", SILENT, HealthVerdict.FAILED),
        ("Unknown", SILENT, HealthVerdict.STARTING),
        ("of a later Kubernetes", SILENT, HealthVerdict.STARTING),
    ],
)
def test_a_driver_without_application_is_judged_by_its_pod(phase, metrics, verdict):
    plain = Evidence(None, evidence("", phase).pods, metrics)
    assert plain.exists
    assert assess(plain).verdict is verdict

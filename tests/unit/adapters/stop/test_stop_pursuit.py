"""Stopping over a fake cluster: what is touched, with what grace, and what is not."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.adapters.stop.stop_pursuit import (
    PodWatch,
    Witness,
    kept_of,
    pursue,
    remains_of,
    streams_in,
)
from fink_k8s.core.base.errors import Unavailable
from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stop.stop_course import Course, DriverEnd
from fink_k8s.core.stop.stop_request import StopManner
from tests.fakes import FakeAnswer, FakeCluster, driver_pod

STREAM, OTHER = "stream2raw-ztf-20060101", "stream2raw-ztf-20060102"
DRIVER = f"{STREAM}-driver"
PATIENT_GRACE_S = 180  # the default limit and the reserve
NOW = datetime(2026, 1, 1, 20, tzinfo=UTC)


def thing(kind, name, labels=None, owner=None, uid=""):
    owners = [{"kind": owner[0], "name": owner[1]}] if owner else None
    metadata = {
        "name": name,
        "namespace": "spark",
        "labels": labels,
        "uid": uid or f"uid of {name}",
    }
    return {"kind": kind, "metadata": {**metadata, "ownerReferences": owners}}


def application(name=STREAM, uid="", **metadata):
    made = thing("SparkApplication", name, uid=uid)
    made["metadata"] |= metadata
    return {**made, "status": {"applicationState": {"state": "RUNNING"}}}


def executor(stream=STREAM):
    labels = {**labels_of("ztf", stream[-8:]), "spark-role": "executor"}
    made = thing("Pod", f"{stream}-exec-1", labels, ("Pod", f"{stream}-driver"))
    return {**made, "spec": {}, "status": {"phase": "Running"}}


FOREIGN = [
    thing("SparkApplication", "spark-pi"),
    thing("ConfigMap", "kube-root-ca.crt"),
    thing("Service", "spark-pi-ui-svc", None, ("SparkApplication", "spark-pi")),
    application(OTHER),
]
OURS = [
    application(),
    thing("ConfigMap", "spark-drv-1-conf-map", None, ("Pod", DRIVER)),
    thing("Service", f"{STREAM}-ui-svc", None, ("SparkApplication", STREAM)),
]


@pytest.fixture
def cluster():
    pods = [driver_pod(STREAM, "Running"), executor(), driver_pod(OTHER, "Running")]
    pods.append({**thing("Pod", "spark-pi-driver", {"spark-role": "driver"}), "status": {}})
    return FakeCluster(*FOREIGN, *OURS, pods=pods)


def stop(cluster, stream=STREAM, seconds=200, **manner):
    """Pursue a stop, a look a second; return the course and the last step."""
    manner = StopManner(**manner)
    witness = Witness(cluster, "spark")
    course = Course.of(stream, remains_of(cluster, "spark", stream), NOW)
    for second in range(seconds):
        now = NOW + timedelta(seconds=second)
        course, step = pursue(cluster, "spark", course, manner, witness, now)
        if step.is_last:
            return course, step
    pytest.fail(f"no end: {step}")


def names(cluster):
    return {one["metadata"]["name"] for one in [*cluster.objects.values(), *cluster.all_pods]}


def test_all_of_the_stream_goes_and_nothing_else(cluster):
    before = names(cluster)
    course, step = stop(cluster)
    assert step.action == "done"
    gone = {DRIVER, f"{STREAM}-exec-1", STREAM, "spark-drv-1-conf-map", f"{STREAM}-ui-svc"}
    assert before - names(cluster) == gone
    assert {name.partition(" ")[2] for name in course.found} == gone
    assert {name for name, _ in cluster.ended} == gone


def test_the_driver_is_asked_before_its_application_goes_and_its_executors_are_let_be(cluster):
    stop(cluster)
    assert cluster.ended[:2] == [(DRIVER, PATIENT_GRACE_S), (STREAM, None)]


def test_at_once_kills_driver_and_executors(cluster):
    stop(cluster, how="at-once")
    assert cluster.ended[:3] == [(DRIVER, 1), (f"{STREAM}-exec-1", 1), (STREAM, None)]


def test_a_driver_without_application_ends_the_same_way():
    cluster = FakeCluster(pods=[driver_pod(STREAM, "Running")])
    course, step = stop(cluster)
    assert (step.action, course.was, cluster.ended) == (
        "done",
        "RUNNING",
        [(DRIVER, PATIENT_GRACE_S)],
    )


def test_a_second_time_and_of_nothing_it_touches_nothing(cluster):
    stop(cluster)
    cluster.ended.clear()
    course, step = stop(cluster)
    assert (step.action, course.found, cluster.ended) == ("done", (), [])


def test_a_stubborn_driver_is_killed_only_when_asked(cluster):
    cluster.stubborn = {DRIVER}
    _, step = stop(cluster, limit_s=10)
    assert step.action == "give-up"
    assert min(grace for name, grace in cluster.ended if name == DRIVER) > 10


def test_the_limit_is_given_to_kubernetes_where_it_is_to_be_kept(cluster):
    cluster.stubborn = {DRIVER}
    _, step = stop(cluster, limit_s=10, then_at_once=True, force_lost=True)
    assert [grace for name, grace in cluster.ended if name == DRIVER] == [10, 1, 0]
    assert step.action == "done"


def test_two_stops_at_once_do_each_other_no_harm(cluster):
    manner, witness = StopManner(), Witness(cluster, "spark")
    one = two = Course.of(STREAM, remains_of(cluster, "spark", STREAM), NOW)
    for second in range(20):
        now = NOW + timedelta(seconds=second)
        one, step_of_one = pursue(cluster, "spark", one, manner, witness, now)
        two, step_of_two = pursue(cluster, "spark", two, manner, witness, now)
    assert (step_of_one.action, step_of_two.action) == ("done", "done")


def test_a_stream_of_the_same_name_that_was_started_meanwhile_is_not_ended(cluster):
    manner, witness = StopManner(), Witness(cluster, "spark")
    course = Course.of(STREAM, remains_of(cluster, "spark", STREAM), NOW)
    course, _ = pursue(cluster, "spark", course, manner, witness, NOW)
    cluster.put(application(uid="anew"))
    cluster.all_pods.append(driver_pod(STREAM, "Pending"))
    cluster.ended.clear()
    _, step = pursue(cluster, "spark", course, manner, witness, NOW)
    assert (step.action, cluster.ended) == ("give-up", [])


def test_a_finalizer_that_holds_the_application_is_named(cluster):
    cluster.put(application(finalizers=["example.org/hold"]))
    _, step = stop(cluster)
    assert step.action == "give-up"
    assert "example.org/hold" in step.reason


def test_every_stream_of_the_namespace_is_found_and_no_other_thing(cluster):
    cluster.put(thing("ConfigMap", "left", labels_of("lsst", "20060103")))
    found = streams_in(cluster, "spark")
    assert list(found) == ["stream2raw-lsst-20060103", STREAM, OTHER]
    assert str(found[OTHER]) == (
        f"SparkApplication {OTHER} (RUNNING), Pod {OTHER}-driver (Running)"
    )
    assert found[STREAM].all == remains_of(cluster, "spark", STREAM).all
    assert streams_in(cluster, "default") == {}


def pod_event(**state):
    status = {"phase": "Running", "containerStatuses": [{"state": state}]}
    return json.dumps({"type": "MODIFIED", "object": {"kind": "Pod", "status": status}}).encode()


def test_the_drivers_end_is_witnessed_although_the_pod_is_gone_by_the_next_look(monkeypatch):
    cluster = FakeCluster(pods=[driver_pod(STREAM, "Running")])
    cluster.log = (
        'INFO x\n[Stage 2:>]\r   \r{"stream2raw": "ended", "reason": "asked to"}\nINFO bye'
    )
    ended = pod_event(terminated={"exitCode": 0, "reason": "Completed"})
    events = FakeAnswer([pod_event(running={}), ended, b'{"type": "DELETED", "object": {}}', b"{"])
    monkeypatch.setattr(cluster, "watch_pod", lambda namespace, pod: events)
    witness = Witness(cluster, "spark")
    witness.follow(remains_of(cluster, "spark", STREAM).drivers)
    for thread in [one for one in threading.enumerate() if DRIVER in one.name]:
        thread.join(5)
    assert witness.end == DriverEnd(exit_code=0, reason="Completed", said="ended: asked to")


def test_a_watch_that_is_refused_only_leaves_the_exit_code_unseen(monkeypatch):
    def refuse(namespace, pod):
        raise Unavailable("away")

    cluster = FakeCluster()
    monkeypatch.setattr(cluster, "watch_pod", refuse)
    watch = PodWatch(cluster, "spark")
    watch.follow(driver_pod(STREAM, "Running"))
    assert watch.end == DriverEnd()


class FakeStore:
    def __init__(self, committed, planned):
        self.numbers = committed, planned

    def committed(self, night):
        return self.numbers[0]

    def planned(self, night):
        return self.numbers[1]

    def counts(self, night):
        raise OSError("no such file")


def test_what_cannot_be_read_of_the_store_is_said_and_not_raised(cluster):
    kept = kept_of(cluster, "spark", STREAM, FakeStore([0], [0]), "s3a://fink")
    assert kept.unread == "no such file"
    assert kept.checkpoint == "s3a://fink/raw_checkpoint/20060101"
    assert (
        kept_of(cluster, "spark", STREAM, None, "").unread == "Airflow has no access to its store"
    )


def test_a_night_without_batches_and_one_whose_last_is_open(cluster):
    kept = kept_of(cluster, "spark", STREAM, FakeStore([], []), "s3a://fink")
    assert (kept.planned, kept.committed, kept.open_batch, kept.unread) == (None, None, None, "")
    kept = kept_of(cluster, "spark", STREAM, FakeStore([], [0]), "s3a://fink")
    assert kept.open_batch == 0


def test_claims_are_left_and_named_unless_they_go_with_their_owner(cluster):
    cluster.put(thing("PersistentVolumeClaim", "data", labels_of("ztf", "20060101")))
    cluster.put(thing("PersistentVolumeClaim", "scratch", None, ("Pod", DRIVER)))
    stop(cluster)
    assert kept_of(cluster, "spark", STREAM, None, "").claims == ("data",)

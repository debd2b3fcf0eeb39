"""Streams are stopped on a real API server, from every state, and nothing else is touched.

Hand-made pods with the streams' labels stand for drivers: one obeys SIGTERM as the job does, one
ignores it. They are what plain spark-submit leaves in a cluster, without Spark's start-up time.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from kubernetes import config

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stop.stop_pursuit import Witness, pursue, remains_of, streams_in
from fink_k8s.adapters.stream.rights import ensure_rights
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.names import labels_of
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.stop import stop_course
from fink_k8s.core.stop.stop_course import Course
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.states import _PHASES
from fink_k8s.core.stream.stream_request import RbacMode, StreamRequest
from testbed.node import kubectl
from tests.operator_away import away

pytestmark = [pytest.mark.testbed, pytest.mark.timeout(180)]

NO_IMAGE = f"localhost:5000/fink/stream2raw@sha256:{'0' * 64}"
OBEYS = """
trap 'echo "{\\"stream2raw\\": \\"ended\\", \\"reason\\": \\"asked to\\"}"; exit 0' TERM
echo up; while :; do sleep 0.2; done
"""
IGNORES = "trap '' TERM; echo up; while :; do sleep 0.2; done"


@pytest.fixture(scope="module")
def settings(environment):
    return load_settings()


@pytest.fixture(scope="module")
def namespace(kubernetes, settings):
    ensure_rights(Cluster(kubernetes), settings, RbacMode.LEAST_PRIVILEGE, print)
    return settings.namespace


@pytest.fixture(scope="module")
def cluster(environment, namespace):
    """Return the cluster as Airflow's own account sees it."""
    return Cluster(config.new_client_from_config(environment["KUBECONFIG_AIRFLOW"]))


@pytest.fixture
def streams(namespace):
    """Return names of streams that nothing has; whatever is made of them goes at the end."""
    first = uuid4().int
    names = [f"stream2raw-ztf-2006{1 + first % 12:02d}{1 + (first + n) % 28:02d}" for n in range(3)]
    yield names
    for name in names:
        selector = f"fink.night={name[-8:]}"
        kubectl("-n", namespace, "delete", "sparkapplication", name, "--ignore-not-found")
        kubectl("-n", namespace, "delete", "pods", "-l", selector, "--grace-period=1",
                "--wait=false")  # fmt: skip


@pytest.fixture
def stream(streams):
    return streams[0]


def at_once(function, *rows):
    """Call a function over rows of arguments, all at the same time; return the results."""
    with ThreadPoolExecutor(len(rows[0])) as pool:
        return list(pool.map(function, *rows))


def pod_of(stream, namespace, script, name="", role="driver", owner=None, **spec):
    """Return a pod as a stream's driver or executor, which runs a shell script."""
    container = {
        "name": f"spark-kubernetes-{role}",
        "image": load_settings().image_base_of(17),
        "command": ["bash", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"{stream}-{role}",
            "namespace": namespace,
            "labels": {**labels_of("ztf", stream[-8:]), "spark-role": role},
            "ownerReferences": [owner_of(owner)] if owner else [],
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 120,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 185,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **spec,
        },
    }


def owner_of(there):
    names = {"name": there["metadata"]["name"], "uid": there["metadata"]["uid"]}
    return {"apiVersion": there["apiVersion"], "kind": there["kind"], **names}


def made(*manifests):
    """Make objects; return them as the API server has them."""
    return [
        json.loads(kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(one)))
        for one in manifests
    ]


def wait_for(what, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return found


def up(cluster, pod):
    """Wait until a pod's script runs."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    wait_for(lambda: "up" in cluster.driver_log(namespace, name))


def stop(cluster, namespace, stream, **manner):
    """Stop a stream as the task and its trigger do; return the course, the last step, the time."""
    begun = time.monotonic()
    manner = StopManner(**manner)
    witness = Witness(cluster, namespace)
    course = Course.of(stream, remains_of(cluster, namespace, stream), utc_now())
    try:
        while True:
            course, step = pursue(cluster, namespace, course, manner, witness, utc_now())
            if step.is_last:
                return course, step, time.monotonic() - begun
            time.sleep(0.5)
    finally:
        witness.close()


def application_of(settings, stream, image=NO_IMAGE, **spec):
    request = StreamRequest(night=stream[-8:], topic="no_alerts_here")
    manifest = make_spark_application(request, settings, image, "3.5.7")
    manifest["spec"] |= spec
    return manifest


def state_of(cluster, namespace, stream):
    return Evidence(cluster.find("SparkApplication", stream, namespace)).state


def test_a_driver_without_application_ends_by_itself_with_all_that_hangs_on_it(
    cluster, namespace, stream
):
    [driver] = made(pod_of(stream, namespace, OBEYS))
    things = [
        {"apiVersion": "v1", "kind": kind, **rest}
        for kind, rest in (("ConfigMap", {}), ("Service", {"spec": {"ports": [{"port": 1}]}}))
    ]
    for thing in things:
        owner = {"ownerReferences": [owner_of(driver)]}
        thing["metadata"] = {"name": f"of-{stream}", "namespace": namespace, **owner}
    foreign = pod_of(stream, namespace, OBEYS, name="not-a-stream")
    foreign["metadata"]["labels"] = {"spark-role": "driver", "fink.night": stream[-8:]}
    other = {"apiVersion": "v1", "kind": "ConfigMap"}
    other["metadata"] = {"name": "not-a-streams", "namespace": namespace}
    executor = pod_of(stream, namespace, OBEYS, role="executor", owner=driver)
    try:
        *_, foreign, other = made(*things, executor, foreign, other)
        up(cluster, driver)
        course, step, seconds = stop(cluster, namespace, stream)
        assert step.action == "done"
        assert (course.end.exit_code, course.end.said) == (0, "ended: asked to")
        assert len(course.found) == 4
        assert remains_of(cluster, namespace, stream).all == []
        pods = {pod["metadata"]["name"]: pod for pod in cluster.pods(namespace)}
        assert pods["not-a-stream"]["metadata"]["uid"] == foreign["metadata"]["uid"]
        assert "deletionTimestamp" not in pods["not-a-stream"]["metadata"]
        assert other in [
            {"apiVersion": "v1", **one} for one in cluster.find_all("ConfigMap", namespace)
        ]
        assert seconds < 45
    finally:
        kubectl("-n", namespace, "delete", "--ignore-not-found", "--grace-period=1",
                "pod/not-a-stream", "cm/not-a-streams")  # fmt: skip
    assert stop(cluster, namespace, stream)[0].found == ()


@pytest.mark.shows("docs/from-the-command-line.md#stop")
def test_a_driver_that_ignores_sigterm_is_named_and_killed_at_the_limit_only_if_asked(
    cluster, namespace, streams, monkeypatch
):
    monkeypatch.setattr(stop_course, "RESERVE_S", 10)
    patient, strict, _ = streams
    deaf = {"terminationGracePeriodSeconds": 5}
    for driver in made(*(pod_of(one, namespace, IGNORES, **deaf) for one in (patient, strict))):
        up(cluster, driver)
    one, other = at_once(
        lambda stream, then: stop(cluster, namespace, stream, limit_s=5, then_at_once=then),
        (patient, strict), (False, True),
    )  # fmt: skip
    course, step, seconds = one
    assert step.action == "give-up"
    assert f"Pod {patient}-driver (Running, being deleted)" in step.reason
    course, step, seconds = other
    assert (step.action, course.end.exit_code) == ("done", 137)
    assert seconds >= 5
    [pod] = remains_of(cluster, namespace, patient).pods
    assert "running" in pod["status"]["containerStatuses"][0]["state"]
    course, step, _ = stop(cluster, namespace, patient, how="at-once")
    assert (step.action, course.end.exit_code) == ("done", 137)


@pytest.mark.parametrize(
    "why", [{"nodeSelector": {"no": "such-node"}}, {"image": NO_IMAGE}], ids=["no-room", "no-image"]
)
def test_a_driver_that_never_started_goes_at_once(cluster, namespace, stream, why):
    manifest = pod_of(stream, namespace, OBEYS)
    manifest["spec"]["containers"][0] |= {key: why[key] for key in why if key == "image"}
    manifest["spec"] |= {key: why[key] for key in why if key != "image"}
    made(manifest)
    wait_for(lambda: waits(remains_of(cluster, namespace, stream).pods[0]))
    course, step, seconds = stop(cluster, namespace, stream)
    assert (step.action, course.was, course.was_alive) == ("done", "SUBMITTED", False)
    assert seconds < 15


def waits(pod):
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or ()}
    states = [one["state"] for one in pod["status"].get("containerStatuses") or ()]
    pulls = any("Pull" in state.get("waiting", {}).get("reason", "") for state in states)
    return conditions.get("PodScheduled") == "False" or pulls


def test_a_pod_whose_node_is_away_is_named_and_struck_out_only_if_asked(
    cluster, namespace, stream, monkeypatch
):
    monkeypatch.setattr(stop_course, "LOST_AFTER", timedelta(seconds=4))
    made(pod_of(stream, namespace, OBEYS, nodeName="a-node-that-is-off"))
    course, step, _ = stop(cluster, namespace, stream, how="at-once")
    assert step.action == "give-up"
    assert "Node a-node-that-is-off does not confirm" in step.reason
    assert remains_of(cluster, namespace, stream).pods
    course, step, _ = stop(cluster, namespace, stream, how="at-once", force_lost=True)
    assert step.action == "done"
    assert course.forced


def test_an_application_that_waits_for_a_finalizer_is_named_and_goes_with_it(
    cluster, namespace, settings, stream, monkeypatch
):
    monkeypatch.setattr(stop_course, "REST_LIMIT", timedelta(seconds=3))
    manifest = application_of(settings, stream, suspend=True)
    manifest["metadata"]["finalizers"] = ["example.org/hold"]
    made(manifest)
    wait_for(lambda: state_of(cluster, namespace, stream) == "SUSPENDED")
    kubectl("-n", namespace, "delete", "sparkapplication", stream, "--wait=false",
            "--cascade=foreground")  # fmt: skip
    try:
        course, step, _ = stop(cluster, namespace, stream)
        assert (step.action, course.was) == ("give-up", "SUSPENDED")
        assert "example.org/hold" in step.reason
    finally:
        patch = json.dumps({"metadata": {"finalizers": None}})
        kubectl("-n", namespace, "patch", "sparkapplication", stream, "--type=merge", "-p", patch)
    assert stop(cluster, namespace, stream)[1].action == "done"


def test_what_the_operator_has_begun_is_ended_whatever_it_was_about_to_do(
    cluster, namespace, settings, streams
):
    new, submitted, refused = streams
    conf = {"spark.kubernetes.driver.pod.featureSteps": "no.such.Step"}
    made(application_of(settings, submitted), application_of(settings, refused, sparkConf=conf))
    ends = {"SUBMISSION_FAILED", "FAILED"}
    wait_for(lambda: state_of(cluster, namespace, refused) in ends)
    wait_for(lambda: state_of(cluster, namespace, submitted) == "SUBMITTED")
    wait_for(lambda: remains_of(cluster, namespace, submitted).pods)
    made(application_of(settings, new))
    time.sleep(1)
    of_new, of_submitted, of_refused = at_once(
        lambda stream: stop(cluster, namespace, stream), streams
    )
    assert [step.action for _, step, _ in (of_new, of_submitted, of_refused)] == ["done"] * 3
    assert (of_new[0].was, of_submitted[0].was) == ("NEW", "SUBMITTED")
    assert not any(course.was_alive for course, _, _ in (of_new, of_submitted, of_refused))
    assert {name.partition(" ")[0] for name in of_submitted[0].found} == {
        "SparkApplication", "Pod", "ConfigMap", "Service"
    }  # fmt: skip
    time.sleep(3)
    for stream in streams:
        assert remains_of(cluster, namespace, stream).all == []


def test_a_driver_ends_though_the_operator_is_away(cluster, namespace, settings, stream):
    with away("spark-operator-controller"):
        [application] = made(application_of(settings, stream))
        [driver] = made(pod_of(stream, namespace, OBEYS, owner=application))
        up(cluster, driver)
        assert state_of(cluster, namespace, stream) == ""
        course, step, _ = stop(cluster, namespace, stream)
    assert (step.action, course.end.exit_code) == ("done", 0)
    assert remains_of(cluster, namespace, stream).all == []


@pytest.fixture
def unwatched(kubernetes, settings):
    """Return a namespace that the operator does not look into: each state stays as it is."""
    place = settings.model_copy(update={"namespace": f"stop-{uuid4().hex[:6]}"})
    ensure_rights(Cluster(kubernetes), place, RbacMode.LEAST_PRIVILEGE, print)
    yield place
    Cluster(kubernetes).delete("Namespace", place.namespace)


@pytest.mark.shows("docs/from-the-command-line.md#stop")
def test_every_state_that_an_application_can_say_it_is_in(kubernetes, unwatched):
    place, there = unwatched, Cluster(kubernetes)
    states = {f"stream2raw-ztf-200601{day:02d}": state for day, state in enumerate(_PHASES, 1)}
    for stream, state in states.items():
        request = StreamRequest(night=stream[-8:], topic="t")
        made(make_spark_application(request, place, NO_IMAGE, "3.5.7"))
        says = {"applicationState": {"state": state}, "driverInfo": {}}
        status = json.dumps({"status": says})
        kubectl("-n", place.namespace, "patch", "sparkapplication", stream, "--type=merge",
                "--subresource=status", "-p", status)  # fmt: skip
    found = streams_in(there, place.namespace)
    assert {stream: remains.state for stream, remains in found.items()} == states
    stopped = at_once(lambda stream: stop(there, place.namespace, stream), list(states))
    assert [step.action for _, step, _ in stopped] == ["done"] * len(states)
    assert [course.was for course, _, _ in stopped] == [state or "NEW" for state in _PHASES]
    assert streams_in(there, place.namespace) == {}


def test_of_nothing_nothing_is_to_be_done(cluster, namespace, stream):
    course, step, seconds = stop(cluster, namespace, stream)
    assert (step.action, course.found) == ("done", ())
    assert seconds < 2

"""What goes wrong with a stream that runs: each cause made for real, and named by the full look.

RECORD_EVIDENCE=1 keeps what was seen for the tests of the core (tests/recording.py).
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from pyarrow import fs

from fink_k8s.adapters.store.raw_store import open_store
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.store.night_paths import checkpoint_path
from testbed import pins
from testbed.node import kubectl
from tests.integration.trouble import (
    category_of,
    delete,
    look_at,
    manifest_of,
    request_of,
    wait_for_category,
    wait_for_words,
)
from tests.long.faults import processes_of_pod

pytestmark = [pytest.mark.long, pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(500)]
BATCH = '"stream2raw": "batch"'
# A heap that Spark accepts, whole from the start, in a container with no room for anything else.
HEAP = "480m"
SCANTY = {
    "memory": HEAP,
    "memoryOverhead": "1m",
    "javaOptions": f"-Xms{HEAP} -XX:+AlwaysPreTouch",
}
SOON = 150
SECONDS = f"{time.time():.0f}"
FIRST = date(2000, 1, 1) + timedelta(days=20 * (int(time.time()) // 60) % 3600)


def nth(number):
    """Return a night of this run's own: what an earlier one has stored of its nights stays."""
    return f"{FIRST + timedelta(days=number):%Y%m%d}"


@pytest.fixture
def run(bed):
    """Run one stream of a test's own night; return its manifest."""

    def start(night, topic="", settings=None, change=None, **fields):
        fields = {"trigger_interval_s": 2, **fields}
        request = request_of(night, topic or f"diagnose_{SECONDS}_{night}", **fields)
        manifest = manifest_of(settings or bed.settings, request)
        if change:
            change(manifest["spec"])
        bed.ended.append(request.stream)
        kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        return manifest

    return start


def topic_of(night):
    return f"diagnose_{SECONDS}_{night}"


def produce(night, count, corrupt=0, seed=1):
    command = [sys.executable, "-m", "testbed.alerts", "--topic", topic_of(night), "--seed",
               str(seed), "--count", str(count), "--corrupt", str(corrupt)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def store_of(settings):
    return open_store(
        settings,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )


def lose(store, folder):
    """Delete a folder's files, as a person who tidies up would."""
    files, inside = store._files, fs.FileSelector(store._path(folder), recursive=True)
    for info in files.get_file_info(inside):
        if info.is_file:
            files.delete_file(info.path)


@pytest.fixture(scope="module")
def kafka():
    """A client that outlives its questions: its end would take their answers away."""
    return AdminClient({"bootstrap.servers": f"{pins.KAFKA_ADDRESS}:{pins.KAFKA_PORT}"})


def test_kafka_is_unreachable(bed, run):
    other = bed.settings.model_copy(update={"kafka_servers": f"{pins.KAFKA_ADDRESS}:9999"})
    manifest = run(nth(1), settings=other)
    # The driver itself says so only after minutes; its query seems alive all the while.
    assert wait_for_category(bed, manifest, Category.KAFKA_UNREACHABLE, 90) < 90


def test_the_store_denies(bed, run):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "wrong-keys", "namespace": bed.settings.namespace},
        "stringData": {
            "access-key": os.environ["AWS_ACCESS_KEY_ID"],
            "secret-key": "not-the-right-one",
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))
    try:
        other = bed.settings.model_copy(update={"store_secret": "wrong-keys"})
        manifest = run(nth(2), settings=other)
        wait_for_category(bed, manifest, Category.STORE_DENIED, 120)
    finally:
        kubectl("-n", bed.settings.namespace, "delete", "secret", "wrong-keys")


def test_the_store_is_unreachable(bed, run):
    other = bed.settings.model_copy(
        update={"store_endpoint": f"http://{pins.STORE_ADDRESS}:{pins.STORE_PORT + 1}"}
    )
    manifest = run(nth(3), settings=other)
    wait_for_words(bed, manifest, "Setting default log level", 60)
    # The S3 client tries again for many minutes, and the driver says nothing: Airflow's own look
    # at the store tells.
    bed.store = store_of(other)
    wait_for_category(bed, manifest, Category.STORE_UNREACHABLE, 60)


def test_the_topic_is_missing(bed, run):
    manifest = run(nth(4))
    wait_for_words(bed, manifest, '"started"', 90)
    assert category_of(bed, manifest) == Category.TOPIC_MISSING


def test_the_topic_is_deleted_under_the_stream(bed, run, kafka):
    produce(nth(5), 100)
    manifest = run(nth(5))
    wait_for_words(bed, manifest, BATCH, SOON)
    kafka.delete_topics([topic_of(nth(5))])[topic_of(nth(5))].result()
    wait_for_category(bed, manifest, Category.TOPIC_MISSING, 60, name="topic-deleted")


@pytest.mark.shows("docs/from-the-command-line.md#look")
def test_offsets_are_gone(bed, run, kafka):
    produce(nth(6), 100)
    stream = run(nth(6))
    wait_for_words(bed, stream, BATCH, SOON)
    delete(bed, stream["metadata"]["name"])
    produce(nth(6), 100, seed=2)
    where = [TopicPartition(topic_of(nth(6)), number, OFFSET_END) for number in range(4)]
    for deleted in kafka.delete_records(where).values():
        assert deleted.result().low_watermark > 0
    manifest = run(nth(6))
    wait_for_words(bed, manifest, '"failed"', 90)
    wait_for_category(bed, manifest, Category.OFFSETS_GONE, 60)


def test_the_pair_is_broken(bed, run):
    produce(nth(7), 100)
    stream = run(nth(7))
    wait_for_words(bed, stream, BATCH, SOON)
    time.sleep(2)
    delete(bed, stream["metadata"]["name"])
    lose(bed.store, checkpoint_path(bed.settings.store_prefix, nth(7)))
    manifest = run(nth(7))
    wait_for_words(bed, manifest, '"refused"', 90)
    wait_for_category(bed, manifest, Category.PAIR_BROKEN, 60)


def test_half_of_the_alerts_are_corrupt(bed, run):
    produce(nth(8), 120, corrupt=60)
    manifest = run(nth(8))
    wait_for_words(bed, manifest, BATCH, SOON)
    wait_for_category(bed, manifest, Category.CORRUPT_ALERTS, 30)


def test_an_executor_is_killed_for_its_memory(bed, run):
    produce(nth(9), 3000)

    def little(spec):
        spec["executor"] |= SCANTY

    manifest = run(nth(9), change=little, max_offsets_per_trigger=100_000)
    wait_for_category(bed, manifest, Category.OUT_OF_MEMORY, 120, name="out-of-memory-executor")


def test_the_driver_is_killed_for_its_memory(bed, run):
    with job_of(bed, "hungry = bytearray(4 << 30)\n") as change:
        manifest = run(nth(10), change=change)
        wait_for_category(bed, manifest, Category.OUT_OF_MEMORY, 120)


def test_two_drivers_write_one_night(bed, run):
    manifest = run(nth(11))
    second = json.loads(json.dumps(manifest))
    second["metadata"]["name"] += "b"
    kubectl("apply", "-f", "-", stdin=json.dumps(second))
    bed.ended.append(second["metadata"]["name"])
    wait_for_category(bed, manifest, Category.TWO_WRITERS, 60)


def test_a_hanging_executor_stalls_the_stream(bed, run):
    produce(nth(12), 100)
    manifest = run(nth(12))
    wait_for_words(bed, manifest, BATCH, SOON)
    frozen = executors_of(nth(12))
    try:
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        produce(nth(12), 100, seed=2)
        patience = timedelta(seconds=20)
        wait_for_category(bed, manifest, Category.STALLED, 60, overdue=patience)
    finally:
        for process in frozen:
            os.kill(process, signal.SIGCONT)
    deadline = time.monotonic() + 90
    stream = manifest["metadata"]["name"]
    while diagnose(seen := look_at(bed, stream, overdue=patience)) or seen.lag:
        assert time.monotonic() < deadline, seen.lag
        time.sleep(1)


def test_alerts_come_faster_than_they_are_stored(bed, run):
    patience = timedelta(seconds=15)
    produce(nth(16), 20)
    manifest = run(nth(16), max_offsets_per_trigger=4)
    wait_for_words(bed, manifest, BATCH, SOON)
    assert diagnose(look_at(bed, manifest["metadata"]["name"], overdue=patience)) is None
    with flowing(nth(16), a_second=10):
        wait_for_category(bed, manifest, Category.LATE, 120, overdue=patience)


def test_a_query_that_has_died_under_a_driver_that_goes_on(bed, run):
    source = (Path(__file__).parents[1] / "e2e/fink_like_job.py").read_text()
    produce(nth(13), 10)
    with job_of(bed, source) as change:
        manifest = run(nth(13), change=change)
        wait_for_category(bed, manifest, Category.QUERY_DEAD, 200)


def test_a_driver_that_fails_for_a_reason_of_its_own(bed, run):
    manifest = run(nth(14), change=lambda spec: spec["arguments"].append("-no_such_flag"))
    wait_for_category(bed, manifest, Category.DRIVER_FAILED, 90)
    # The operator starts it again, and again.
    wait_for_category(bed, manifest, Category.CRASH_LOOP, 200)


def test_the_node_is_lost(bed):
    """A node of the API server alone: nobody reports for it, and the control plane notices."""
    stream = request_of(nth(15)).stream
    node, pod = lost_node(), orphan(bed.settings, stream)
    kubectl("apply", "-f", "-", stdin=json.dumps(node))
    try:
        report(f"/api/v1/nodes/{node['metadata']['name']}/status", ready_node())
        kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        path = f"/api/v1/namespaces/{bed.settings.namespace}/pods/{stream}-driver/status"
        report(path, running_pod())
        before = diagnose(look_at(bed, stream))
        assert before is None or before.category is not Category.NODE_LOST
        manifest = {"metadata": {"name": stream}}
        wait_for_category(bed, manifest, Category.NODE_LOST, 120)
    finally:
        kubectl("-n", bed.settings.namespace, "delete", "pod", f"{stream}-driver",
                "--force", "--grace-period=0", "--ignore-not-found")  # fmt: skip
        kubectl("delete", "node", node["metadata"]["name"])


@contextmanager
def flowing(night, a_second):
    """Send alerts all the while, for two minutes at most."""
    command = [sys.executable, "-m", "testbed.alerts", "--topic", topic_of(night), "--seed", "3",
               "--rate", str(a_second), "--count", str(120 * a_second)]  # fmt: skip
    producer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
        assert producer.poll() is None
    finally:
        producer.terminate()
        producer.wait(30)


@contextmanager
def job_of(bed, source):
    """Yield a change of a spec that runs `source` in place of stream2raw."""
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "other-job", "namespace": bed.settings.namespace},
        "data": {"job.py": source},
    }

    def change(spec):
        spec["mainApplicationFile"] = "local:///opt/job/job.py"
        spec["volumes"].append({"name": "job", "configMap": {"name": "other-job"}})
        spec["driver"]["volumeMounts"].append({"name": "job", "mountPath": "/opt/job"})

    kubectl("apply", "-f", "-", stdin=json.dumps(config))
    try:
        yield change
    finally:
        kubectl("-n", bed.settings.namespace, "delete", "configmap", "other-job")


def executors_of(night):
    """Return the processes of a night's executors."""
    answer = kubectl("-n", "spark", "get", "pods", "-o", "json",
                     "-l", f"fink.night={night},spark-role=executor")  # fmt: skip
    pods = json.loads(answer)["items"]
    assert pods
    return [process for pod in pods for process in processes_of_pod(pod["metadata"]["uid"])]


def lost_node():
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "lost-node", "labels": {"kubernetes.io/hostname": "lost-node"}},
        # Nothing else is to be put there.
        "spec": {"unschedulable": True},
    }


def ready_node():
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady",
             "lastHeartbeatTime": now, "lastTransitionTime": now}  # fmt: skip
    return {"status": {"conditions": [ready]}}


def orphan(settings, stream):
    """Return the driver of a stream that plain spark-submit started, on the node to be lost."""
    from fink_k8s.core.base.names import labels_of
    from fink_k8s.core.stream.stream_names import driver_pod_name, parse_stream_name

    manifest = manifest_of(settings, request_of(parse_stream_name(stream)[1]))
    driver = manifest["spec"]["driver"]
    container = {
        "name": "spark-kubernetes-driver",
        "image": manifest["spec"]["image"],
        "args": ["driver", *manifest["spec"]["arguments"]],
        "securityContext": driver["securityContext"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": driver_pod_name(stream),
            "namespace": settings.namespace,
            "labels": {**labels_of(*parse_stream_name(stream)), "spark-role": "driver"},
        },
        "spec": {
            "nodeName": "lost-node",
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": driver["podSecurityContext"],
            "containers": [container],
        },
    }


def running_pod():
    """Return what that node's kubelet last said."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    condition = {"status": "True", "lastTransitionTime": now}
    container = {
        "name": "spark-kubernetes-driver", "image": "i", "imageID": "i", "ready": True,
        "restartCount": 0, "state": {"running": {"startedAt": now}},
    }  # fmt: skip
    types = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "status": {
            "phase": "Running",
            "startTime": now,
            "conditions": [{"type": one, **condition} for one in types],
            "containerStatuses": [container],
        }
    }


def report(path, status):
    """Write an object's status, as its kubelet would."""
    kind, name = path.split("/")[-3:-1]
    words = ["-n", "spark"] if kind == "pods" else []
    kubectl(*words, "patch", kind, name, "--subresource=status", "--type=merge",
            "-p", json.dumps(status))  # fmt: skip

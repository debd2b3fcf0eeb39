"""Stopping again and again under flowing alerts loses none and doubles none."""

import subprocess
import sys
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.image_build import resolve
from fink_k8s.adapters.stop.stop_pursuit import Witness, kept_of, pursue, remains_of
from fink_k8s.adapters.stream.rights import ensure_rights
from fink_k8s.adapters.stream.streams import ensure_stream
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.config.releases import releases_from
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.stop.stop_course import Course
from fink_k8s.core.stop.stop_outcome import outcome_of
from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import RbacMode, StreamRequest
from testbed.places import ROOT
from tests.e2e.driving import DEPLOY, drivers, unused_night
from tests.long.faults import freeze_pod

pytestmark = [
    pytest.mark.long, pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(900),
]  # fmt: skip

NIGHT = unused_night(4)
TOPIC = f"stop_again_{time.time():.0f}"
RATE = 100


@pytest.fixture(scope="module")
def settings(environment):
    return load_settings()


@pytest.fixture(scope="module")
def cluster(kubernetes, settings):
    cluster = Cluster(kubernetes)
    ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, print)
    return cluster


@pytest.fixture
def producer():
    command = [sys.executable, "-m", "testbed.alerts", "--topic", TOPIC]
    command += ["--count", "100000", "--rate", str(RATE)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    yield process
    process.kill()


def start(cluster, settings):
    request = StreamRequest(night=NIGHT, topic=TOPIC, trigger_interval_s=2)
    release = releases_from((ROOT / "include/releases.yaml").read_text()).get()
    image = resolve(settings.image_repository, release.tag)
    ensure_stream(cluster, make_spark_application(request, settings, image, release.spark))
    return request.stream


def stop(cluster, settings, store, stream):
    manner, witness = StopManner(), Witness(cluster, settings.namespace)
    remains = remains_of(cluster, settings.namespace, stream)
    course = Course.of(stream, remains, utc_now())
    while True:
        course, step = pursue(cluster, settings.namespace, course, manner, witness, utc_now())
        if step.is_last:
            break
        time.sleep(1)
    witness.close()
    assert step.action == "done", step
    kept = kept_of(cluster, settings.namespace, stream, store, settings.store_prefix)
    return outcome_of(course, kept, (utc_now() - course.began).total_seconds())


def wait_for_batches(store, number):
    deadline = time.monotonic() + 180
    while len(store.committed(NIGHT)) < number:
        assert time.monotonic() < deadline
        time.sleep(1)


def messages_of(servers, topic):
    """Return how many messages a topic holds, by its own account."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "nobody"})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    marks = [consumer.get_watermark_offsets(TopicPartition(topic, one)) for one in partitions]
    consumer.close()
    return sum(high - low for low, high in marks)


@pytest.mark.shows("docs/from-the-command-line.md#stop")
def test_of_two_streams_one_that_hangs_is_named_and_killed_if_asked(fink, settings):
    """Through the DAG: all streams, a limit that one of them does not keep, and then at once."""
    names = []
    for nth in range(2):
        night, topic = unused_night(nth), f"{TOPIC}_{nth}"
        fink.produce(topic, 50)
        run = fink.run(DEPLOY, night=night, topic=topic, trigger_interval_s=3, skip=["preflight"])
        assert run.state == "success"
        names.append(f"stream2raw-ztf-{night}")
    well, hangs = names
    freeze_pod(drivers(hangs)[0]["metadata"]["uid"])

    run = fink.run("fink_stop", all_streams=True, limit_minutes=0.5)
    assert run.state == "failed"
    lines = {line.partition(":")[0]: line for line in run.xcom("stop.report")}
    assert "ended gracefully" in lines[well]
    assert "NOT ended" in lines[hangs]
    assert drivers(hangs)
    [left] = run.xcom("stop.diagnose_left")
    assert left["stream"] == hangs
    assert left["address"]

    run = fink.run("fink_stop", streams=[hangs], how="at-once")
    assert run.state == "success"
    [line] = run.xcom("stop.report")
    assert "killed" in line
    assert not drivers(hangs)


def test_three_graceful_stops_under_flowing_alerts_keep_every_key_exactly_once(
    cluster, settings, store, producer
):
    time.sleep(3)
    for _ in range(3):
        stream = start(cluster, settings)
        wait_for_batches(store, len(store.committed(NIGHT)) + 3)
        assert producer.poll() is None
        outcome = stop(cluster, settings, store, stream)
        assert (outcome.ending, outcome.exit_code) == ("graceful", 0), outcome.line
        assert store.planned(NIGHT)[-1] == store.committed(NIGHT)[-1]
    producer.terminate()
    producer.wait(30)
    there = messages_of(settings.kafka_servers, TOPIC)
    stream = start(cluster, settings)
    deadline = time.monotonic() + 180
    while store.counts(NIGHT).read < there:
        assert time.monotonic() < deadline
        time.sleep(1)
    stop(cluster, settings, store, stream)
    keys = Counter()
    for file in store._manifest(NIGHT, store.committed(NIGHT)[-1]):
        columns = ["kafka_partition", "kafka_offset"]
        rows = pq.read_table(store._path(file), columns=columns, filesystem=store._files)
        keys.update(zip(*(rows.column(name).to_pylist() for name in columns), strict=True))
    assert len(keys) == there > 0
    assert set(keys.values()) == {1}

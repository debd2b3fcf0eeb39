"""The job itself, in Spark's local mode against a real Kafka: nothing lost, nothing doubled."""

import io
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import fastavro
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer
from pyarrow import fs

from fink_k8s.adapters.kafka.broker import Arrivals
from fink_k8s.adapters.night.night_reading import PastNight, read_night
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.core.store.store_kind import KeySettings, StoreKind
from testbed.alerts.__main__ import make_topic
from testbed.alerts.packets import alerts, corrupted
from testbed.places import ROOT
from tests.fakes import OWN_SCHEMA

pytestmark = [pytest.mark.testbed, pytest.mark.spark, pytest.mark.timeout(300)]
NIGHT = "20260101"
INGESTED = {"brokerIngestTimestamp", "kafka_topic", "kafka_partition", "kafka_offset"}


class LocalFolder(StoreKind):
    """A folder that Spark and this process see alike."""

    scheme = "file"

    @classmethod
    def check_host(cls, host):
        assert not host


class LocalStore(Store):
    """The raw store on a local disk."""

    def __init__(self, folder):
        super().__init__(LocalFolder("", str(folder), KeySettings()), fs.LocalFileSystem())

    def stored_keys(self):
        """Return (partition, offset, candid) of each row of the files that the manifest lists."""
        keys = []
        for path in self._manifest(NIGHT, self.committed(NIGHT)[-1]):
            table = pq.read_table(
                self._path(path), columns=["kafka_partition", "kafka_offset", "candid"]
            )
            keys += [tuple(row.values()) for row in table.to_pylist()]
        return keys


@pytest.fixture(scope="session")
def spark_environment(environment, spark_parts, tmp_path_factory):
    home, jars = spark_parts
    classes = tmp_path_factory.mktemp("decoder")
    sources = [str(path) for path in (ROOT / "include/stream2raw/java").rglob("*.java")]
    javac = ["javac", "--release", "8", "-d", str(classes), "-cp", f"{home}/jars/*", *sources]
    subprocess.run(javac, check=True, capture_output=True)
    py4j = next((home / "python/lib").glob("py4j-*.zip"))
    return {
        **environment,
        "SPARK_HOME": str(home),
        "PYTHONPATH": f"{home}/python:{py4j}",
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --driver-memory 1g --conf spark.ui.enabled=false "
        f"--conf spark.driver.extraClassPath={jars}/*:{classes} pyspark-shell",
    }


class Job:
    """A run of the job's program, with the flags of a night."""

    started: ClassVar[list["Job"]] = []

    def __init__(self, spark_environment, *flags, code=ROOT / "include/stream2raw"):
        program = code / "bin/stream2raw.py"
        self.process = subprocess.Popen(
            [sys.executable, str(program), *map(str, flags)],
            env=spark_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.started.append(self)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def said(self, event, wait_seconds=60):
        """Read its output up to the line of `event`."""
        deadline = time.monotonic() + wait_seconds
        while (line := self.lines.get(timeout=max(0, deadline - time.monotonic()))) is not None:
            print(line, end="")  # noqa: T201
            if f'"stream2raw": "{event}"' in line:
                return line
        raise AssertionError(f"it ended with {self.process.wait()} before it said {event}")

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def end(self, number=signal.SIGTERM):
        """Send a signal and return the exit code."""
        target = os.killpg if number == signal.SIGKILL else os.kill
        target(self.process.pid, number)
        return self.process.wait(60)


@pytest.fixture(autouse=True)
def no_job_is_left():
    yield
    for job in Job.started:
        if job.process.poll() is None:
            job.end(signal.SIGKILL)
    Job.started.clear()


@pytest.fixture
def topic(environment, request):
    name = f"local_{request.node.name[:60]}_{time.time():.0f}"
    make_topic(environment["FINK_KAFKA_SERVERS"], name, 2)
    return name


@pytest.fixture
def night(environment, topic, tmp_path):
    """Return the flags of today, writing to a local disk."""
    return [
        "-servers", environment["FINK_KAFKA_SERVERS"], "-topic", topic, "-night", NIGHT,
        "-online_data_prefix", f"file://{tmp_path}", "-tinterval", 1,
        "-max_offsets_per_trigger", 100, "-schema", OWN_SCHEMA,
    ]  # fmt: skip


def send(environment, topic, values):
    producer = Producer({"bootstrap.servers": environment["FINK_KAFKA_SERVERS"]})
    for value in values:
        producer.produce(topic, value)
        producer.poll(0)
    assert producer.flush(60) == 0


def looked_back_at(store, environment, topic):
    now = datetime.now(UTC)
    return read_night(
        PastNight(f"stream2raw-ztf-{NIGHT}", topic, now - timedelta(minutes=5), now, now),
        lambda: store,
        Arrivals(environment["FINK_KAFKA_SERVERS"], topic),
        "s3a://fink",
    )


def test_whole_alerts_are_stored_and_damaged_ones_set_aside(
    spark_environment, environment, topic, night, tmp_path
):
    whole = list(alerts(seed=1, count=150))
    kinds = ("flipped", "truncated", "empty", "tombstone")
    damaged = [corrupted(alert, kind) for alert, kind in zip(whole[:4], kinds, strict=True)]
    send(environment, topic, whole + damaged)
    job = Job(spark_environment, *night, "-exit_after", 20)
    job.said("ended")
    assert job.process.wait(30) == 0
    store = LocalStore(tmp_path)
    counts = store.counts(NIGHT)
    assert (counts.read, counts.stored, counts.set_aside) == (154, 150, 4)
    assert counts.batches == 2
    facts = looked_back_at(store, environment, topic)
    assert facts.is_verified, facts.reasons
    assert (facts.counts, facts.unread, facts.curve[-1].lag) == (counts, 0, 0)
    stored = {next(fastavro.reader(io.BytesIO(alert)))["candid"] for alert in whole}
    assert {candid for *_, candid in store.stored_keys()} == stored
    columns = ds.dataset(f"{tmp_path}/raw/{NIGHT}", format="parquet").schema.names
    assert set(columns) >= INGESTED | {"objectId", "candidate", "cutoutScience", "fp_hists"}
    aside = ds.dataset(f"{tmp_path}/raw_quarantine/{NIGHT}", format="parquet").to_table()
    values = aside.column("value").to_pylist()
    assert sorted(values, key=lambda v: v or b"") == sorted(damaged, key=lambda v: v or b"")
    assert all(aside.column("error").to_pylist())


def test_killed_and_stopped_and_started_again_it_stores_each_alert_once(
    spark_environment, environment, topic, night, tmp_path
):
    send(environment, topic, alerts(seed=2, count=600))
    job = Job(spark_environment, *night)
    job.said("batch")
    assert job.end(signal.SIGKILL) == -signal.SIGKILL
    store = LocalStore(tmp_path)
    assert 0 < store.counts(NIGHT).stored < 600, "it was to be killed in the middle"

    job = Job(spark_environment, *night)
    job.said("batch")
    assert job.end(signal.SIGTERM) == 0
    planned = {path.name for path in (tmp_path / f"raw_checkpoint/{NIGHT}/offsets").glob("[0-9]*")}
    committed = {
        path.name for path in (tmp_path / f"raw_checkpoint/{NIGHT}/commits").glob("[0-9]*")
    }
    assert planned == committed, "the batch in hand was to end"

    job = Job(spark_environment, *night, "-exit_after", 20)
    job.said("ended")
    assert job.process.wait(30) == 0
    keys = store.stored_keys()
    assert len(keys) == len(set(keys)) == 600


def test_a_checkpoint_without_its_output_is_refused(
    spark_environment, environment, topic, night, tmp_path
):
    send(environment, topic, alerts(seed=3, count=20))
    job = Job(spark_environment, *night)
    job.said("batch")
    assert job.end() == 0
    (tmp_path / f"raw/{NIGHT}").rename(tmp_path / "moved_away")
    job = Job(spark_environment, *night)
    assert "bring the output back" in job.said("refused")
    assert job.process.wait(30) == 3


def test_the_query_s_failure_is_the_exit_code(
    spark_environment, environment, topic, night, tmp_path
):
    send(environment, topic, alerts(seed=4, count=20))
    job = Job(spark_environment, *night)
    job.said("batch")
    plans = tmp_path / f"raw_checkpoint/{NIGHT}/offsets"
    shutil.rmtree(plans)
    plans.write_text("a file where the plans were: the checkpoint cannot be written")
    send(environment, topic, alerts(seed=5, count=20))
    assert "offsets" in job.said("failed")
    assert job.process.wait(30) == 1


def test_fink_2_4_s_flags_store_bare_datums_by_day(
    spark_environment, environment, topic, night, tmp_path
):
    schema = fastavro.schema.load_schema(OWN_SCHEMA)
    bare = []
    for alert in alerts(seed=5, count=10):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, next(fastavro.reader(io.BytesIO(alert))))
        bare.append(out.getvalue())
    send(environment, topic, bare)
    job = Job(
        spark_environment, *night[:4], "-rawdatapath", f"file://{tmp_path}/raw",
        "-checkpointpath_raw", f"file://{tmp_path}/checkpoint", "-schema", OWN_SCHEMA,
        "-startingoffsets_stream", "earliest", "-tinterval", 1, "-log_level", "INFO",
    )  # fmt: skip
    job.said("batch")
    assert job.end() == 0
    days = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.glob("raw/**/*.parquet")}
    assert days == {"raw/year=2026/month=1/day=1"}
    assert sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("raw/**/*.parquet")) == 10


OTHER_SURVEY = """
from pyspark.sql import functions as F

KEY = "alertId"
TIME = "seen.at"
IMPLAUSIBLE = "alertId is negative"


def datum_of():
    return "value"


def plausible():
    return F.col("alert.alertId") >= 0


def event_time(time):
    return F.timestamp_seconds(time)
"""
OTHER_SCHEMA = {
    "type": "record", "name": "alert", "fields": [
        {"name": "alertId", "type": "long"},
        {"name": "seen", "type": {"type": "record", "name": "seen", "fields": [
            {"name": "at", "type": "double"},
        ]}},
    ],
}  # fmt: skip


@pytest.mark.shows("CONTRIBUTING.md#add-survey")
def test_a_module_and_a_schema_let_the_job_read_another_survey(
    spark_environment, environment, topic, night, tmp_path
):
    """Framing, key, plausibility and time are the module's; the rest of the job is as it is."""
    code = shutil.copytree(ROOT / "include/stream2raw", tmp_path / "code/stream2raw")
    (code / "surveys/other.py").write_text(OTHER_SURVEY)
    schema = code / "schemas/other.avsc"
    schema.write_text(json.dumps(OTHER_SCHEMA))
    datums = []
    for number in [*range(1, 11), -1]:
        out = io.BytesIO()
        alert = {"alertId": number, "seen": {"at": 1767225600.0 + number}}
        fastavro.schemaless_writer(out, fastavro.parse_schema(OTHER_SCHEMA), alert)
        datums.append(out.getvalue())
    send(environment, topic, [*datums, b"\xff"])
    job = Job(
        spark_environment, *night[:4], "-rawdatapath", f"file://{tmp_path}/raw",
        "-checkpointpath_raw", f"file://{tmp_path}/checkpoint", "-schema", schema,
        "-producer", "other", "-tinterval", 1, code=code,
    )  # fmt: skip
    said = json.loads(job.said("batch"))
    assert (said["messages"], said["bad"]) == (12, 2)
    assert job.end() == 0
    stored = ds.dataset(f"{tmp_path}/raw/year=2026/month=1/day=1", format="parquet").to_table()
    assert sorted(stored.column("alertId").to_pylist()) == list(range(1, 11))
    aside = ds.dataset(f"{tmp_path}/raw_quarantine", format="parquet").to_table().to_pylist()
    assert {(row["value"], row["error"]) for row in aside} == {
        (datums[-1], "alertId is negative"), (b"\xff", "not one whole alert of the schema"),
    }  # fmt: skip


def test_bad_arguments_are_refused_before_spark_starts(spark_environment):
    job = Job(spark_environment, "-servers", "no-port", "-topic", "t", "-night", NIGHT,
              "-schema", OWN_SCHEMA)  # fmt: skip
    assert "-online_data_prefix" in job.said("refused", wait_seconds=5)
    assert job.process.wait(10) == 2

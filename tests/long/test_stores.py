"""A night on a persistent volume claim: made or found, counted or told, killed in the middle."""

import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.registry import resolve
from fink_k8s.adapters.store.raw_store import NightCounts, open_store
from fink_k8s.adapters.stream.rights import ensure_rights
from fink_k8s.adapters.stream.streams import ensure_stream
from fink_k8s.core.config.releases import releases_from
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.store.claim_store import AccessMode
from fink_k8s.core.stream.manifests import make_claim, make_spark_application
from fink_k8s.core.stream.stream_request import RbacMode, StreamRequest
from testbed.airflow import Airflow, AirflowClient
from testbed.places import ROOT
from tests.e2e.conftest import without_schedules
from tests.e2e.driving import DEPLOY, Fink, application, drivers, kubectl, pods, wait_for_counts
from tests.e2e.night import Night, form_of
from tests.long.claims import claim_named, volume

pytestmark = [
    pytest.mark.long, pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(900),
]  # fmt: skip

CLAIM, OTHER_CLAIM = "long-stores", "long-stores-killed"
TOPIC = f"stores_{time.time():.0f}"
FIRST, SECOND, KILLED = "20050102", "20050103", "20050104"
PRODUCED = 2000


@pytest.fixture(scope="module")
def folder(environment):
    """The volume of the claim, which is not there yet; streams that use it end with it."""
    with volume(CLAIM) as path:
        yield path
        for night in (FIRST, SECOND):
            delete(night)


@pytest.fixture
def other_folder(environment):
    """The volume of a claim of another name."""
    with volume(OTHER_CLAIM) as path:
        yield path
        delete(KILLED)


@pytest.fixture(scope="module")
def alerts():
    """What every night reads: 400 alerts, 8 of them damaged."""
    return Fink.produce(None, TOPIC, 400, corrupt=8)


def fink_with(tmp_path_factory, **environment):
    airflow = Airflow(
        tmp_path_factory.mktemp("airflow"),
        port=8082,  # beside the one of the other tests
        environment={
            "FINK_STORE_PREFIX": f"pvc://{CLAIM}/ztf",
            "FINK_CLAIM_ACCESS_MODE": "ReadWriteOnce",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
            **without_schedules(tmp_path_factory.mktemp("surveys")),
            **environment,
        },
    )
    airflow.start()
    yield Fink(AirflowClient(airflow))
    airflow.stop()


@pytest.mark.shows("docs/stores.md#claim", "docs/stores.md#a-persistent-volume-claim")
def test_a_driver_killed_in_the_middle_leaves_each_alert_exactly_once(
    other_folder, kubernetes, record_property
):
    topic = f"{TOPIC}_killed"
    Fink.produce(None, topic, PRODUCED, corrupt=20)
    settings = settings_at(other_folder, OTHER_CLAIM)
    cluster = Cluster(kubernetes)
    ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, print)
    cluster.apply(make_claim(settings, "1Gi"))
    request = StreamRequest(
        night=KILLED, topic=topic, max_offsets_per_trigger=250, trigger_interval_s=1
    )
    release = releases_from((ROOT / "include/releases.yaml").read_text()).get()
    image = resolve(settings.image_repository, release.tag)
    ensure_stream(cluster, make_spark_application(request, settings, image, release.spark))
    store = open_store(settings)

    uid = wait_for(lambda: store.counts(KILLED).batches >= 2 and drivers(request.stream), 150)[0][
        "metadata"
    ]["uid"]
    kubectl("delete", "pod", f"{request.stream}-driver", "--force", "--grace-period=0")
    before = store.counts(KILLED)
    record_property("read before the kill", before.read)
    assert before.read < PRODUCED, "it was to be killed in the middle"

    counts = wait_for_counts(store, KILLED, read=PRODUCED, seconds=240)
    record_property("stored", counts.stored)
    assert counts == NightCounts(counts.batches, PRODUCED, PRODUCED - 20, 20)
    (driver,) = drivers(request.stream)
    assert driver["metadata"]["uid"] != uid
    keys = keys_of(store, KILLED)
    assert len(keys) == PRODUCED - 20
    assert set(keys.values()) == {1}


class TestWhereTheWorkersSeeTheClaim:
    """The chain through an Airflow to whose workers the claim is mounted."""

    @pytest.fixture(scope="class")
    def fink(self, tmp_path_factory, folder):
        yield from fink_with(tmp_path_factory, FINK_STORE_MOUNT=str(folder))

    @pytest.fixture(scope="class")
    def made(self, fink, alerts):
        return fink.run(DEPLOY, night=FIRST, topic=TOPIC, create_claim=True, claim_size="1Gi")

    def test_a_claim_that_is_missing_is_named_before_anything_is_made(self, fink, alerts):
        run = fink.run(DEPLOY, night=FIRST, topic=TOPIC)
        assert run.failed() == "check_prerequisites"
        assert f"claim {CLAIM} is not in namespace spark" in run.log("check_prerequisites")
        assert not drivers(f"stream2raw-ztf-{FIRST}")

    @pytest.mark.shows("docs/from-the-command-line.md#paths", "docs/stores.md#claim")
    def test_the_chain_makes_the_claim_and_stores_every_alert(self, made, folder, record_property):
        record_property("seconds", round(made.seconds))
        assert made.state == "success"
        assert made.xcom("prepare_store") is True
        assert claim_named(CLAIM)["status"]["phase"] == "Bound"
        counted = made.xcom("wait_for_first_batch")
        assert counted["counted_by"] == "store"
        assert "counted in the store" in made.log("wait_for_first_batch")
        counts = wait_for_counts(store_at(folder), FIRST, read=400)
        record_property("stored", counts.stored)
        assert counts == NightCounts(counts.batches, read=400, stored=392, set_aside=8)

    def test_neither_keys_nor_s3_reach_the_pods(self, made):
        stream = f"stream2raw-ztf-{FIRST}"
        spec = application(stream)["spec"]
        assert "s3a" not in str(spec)
        found = pods(stream)
        assert {pod["metadata"]["labels"]["spark-role"] for pod in found} == {"driver", "executor"}
        for pod in found:
            names = [one["name"] for one in pod["spec"]["containers"][0]["env"]]
            assert names
            assert not [name for name in names if name.startswith("AWS_")]

    def test_a_claim_that_is_there_serves_the_next_night(self, fink, made, folder):
        delete(FIRST)
        uid = claim_named(CLAIM)["metadata"]["uid"]
        run = fink.run(
            DEPLOY, night=SECOND, topic=TOPIC, skip=["rbac", "image"], create_claim=True,
            claim_size="1Gi",
        )  # fmt: skip
        assert run.state == "success"
        assert run.xcom("prepare_store") is False
        assert f"PersistentVolumeClaim {CLAIM}: unchanged" in run.log("prepare_store")
        assert claim_named(CLAIM)["metadata"]["uid"] == uid
        counts = wait_for_counts(store_at(folder), SECOND, read=400)
        assert (counts.stored, counts.set_aside) == (392, 8)

    def test_a_claim_that_is_too_small_is_named_and_left_as_it_is(self, fink, made):
        before = claim_named(CLAIM)["spec"]
        run = fink.run(DEPLOY, night=KILLED, topic=TOPIC, create_claim=True, claim_size="9Ti")
        assert run.failed() == "check_prerequisites"
        assert "the form requests 9Ti" in run.log("check_prerequisites")
        assert claim_named(CLAIM)["spec"] == before


class TestWhereTheWorkersDoNotSeeTheClaim:
    """The same chain through an Airflow that knows of no mount."""

    @pytest.fixture(scope="class")
    def fink(self, tmp_path_factory, folder):
        yield from fink_with(tmp_path_factory)

    def test_the_driver_s_word_is_taken_and_the_log_says_so(self, fink, alerts):
        run = fink.run(
            DEPLOY, night=SECOND, topic=TOPIC, skip=["rbac", "image"], create_claim=True,
            claim_size="1Gi",
        )  # fmt: skip
        assert run.state == "success"
        assert "Airflow cannot read store pvc://" in run.log("check_prerequisites")
        assert run.xcom("wait_for_first_batch") == {
            "batches": 1, "read": 400, "stored": 392, "set_aside": 8, "counted_by": "driver",
        }  # fmt: skip
        assert "no row was counted: FINK_STORE_MOUNT" in run.log("wait_for_first_batch")

    def test_a_night_that_nobody_can_count_is_red_unless_the_form_says_otherwise(
        self, fink, alerts
    ):
        form = form_of(SECOND, TOPIC, seconds=60, grace_minutes=0.25, if_differs="adopt")
        night = Night(fink, form)
        assert night.end() == "failed"
        assert "is NOT VERIFIED: the alerts were not counted" in night.log("verify_night")
        assert "set require_proof to false" in night.log("verify_night")
        # It ended as asked, which is no proof that its last batch is committed.
        assert night.xcom("stop_stream")["ending"] == "unproved"
        assert night.xcom("stop_stream")["exit_code"] == 0
        again = Night(fink, {**form, "require_proof": False})
        assert again.end() == "success"
        assert again.xcom("verify_night")["counts"] is None


def settings_at(folder, claim=CLAIM):
    return load_settings().model_copy(
        update={
            "store_prefix": f"pvc://{claim}/ztf",
            "store_mount": str(folder),
            "claim_access_mode": AccessMode.READ_WRITE_ONCE,
        }
    )


def store_at(folder):
    return open_store(settings_at(folder))


def keys_of(store, night):
    """Return how often each (partition, offset) is in the files that the sink's manifest lists."""
    keys = Counter()
    for file in store.files(night):
        table = pq.read_table(file, columns=["kafka_partition", "kafka_offset"])
        keys.update(tuple(row.values()) for row in table.to_pylist())
    return keys


def wait_for(condition, wait_seconds):
    deadline = time.monotonic() + wait_seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not so after {wait_seconds} s"
        time.sleep(1)
    return found


def delete(night):
    stream = f"stream2raw-ztf-{night}"
    kubectl("delete", "sparkapplication", stream, "--ignore-not-found", "--wait=true")
    wait_for(lambda: not drivers(stream), 150)

from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
import tenacity

from fink_k8s.adapters.stream.streams import APPLICATION_KIND, Way, ensure_stream, observe
from fink_k8s.core.base.errors import Conflict, InvalidRequest, Refused, Unavailable
from fink_k8s.core.base.names import ANNOTATION_SPEC, ANNOTATION_SPEC_HASH
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.manifests import canonical_json, hash_of, make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest, SubmitWith
from tests.fakes import FakeCluster, driver_pod

STREAM = "stream2raw-ztf-20250101"
SETTINGS = Settings(namespace="spark", kafka_servers="kafka:9092", store_prefix="s3a://fink")


def application(state="", **changes):
    request = StreamRequest(night="20250101", topic="alerts", **changes)
    manifest = make_spark_application(request, SETTINGS, "registry/fink@sha256:1", "3.5.7")
    if not state:
        return manifest
    metadata = {**manifest["metadata"], "uid": "a"}
    return {**manifest, "metadata": metadata, "status": {"applicationState": {"state": state}}}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    now = count()
    fake = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(now))
    for module in (tenacity, tenacity.nap):
        monkeypatch.setattr(module, "time", fake)


def test_a_new_stream_is_created():
    cluster = FakeCluster()
    done = ensure_stream(cluster, application())
    assert done.way is Way.CREATED
    assert cluster.find(APPLICATION_KIND, STREAM, "spark") == application() == done.there


@pytest.mark.parametrize("state", ["", "SUBMITTED", "RUNNING", "FAILING", "SUBMISSION_FAILED"])
def test_the_same_stream_is_adopted_while_the_operator_works_on_it(state):
    there = application(state)
    cluster = FakeCluster(there, pods=[driver_pod(STREAM, "Running")])
    done = ensure_stream(cluster, application())
    assert (done.way, done.there) == (Way.ADOPTED, there)


def test_another_spec_is_refused_with_the_fields_that_differ():
    there = application("RUNNING")
    cluster = FakeCluster(there)
    asked = application(driver_memory="2g", executors=3, trigger_interval_s=60)
    with pytest.raises(Conflict) as caught:
        ensure_stream(cluster, asked)
    fields = str(caught.value).partition("(")[2].partition(")")[0].split(", ")
    assert fields == ["argument -tinterval", "driver.memory", "executor.instances"]
    assert f"trigger fink_stop with streams={STREAM}" in str(caught.value)
    assert cluster.find(APPLICATION_KIND, STREAM, "spark") == there


def test_a_stream_made_by_hand_is_refused():
    there = application("RUNNING")
    there["metadata"]["annotations"] = None
    with pytest.raises(Conflict, match="fields set by hand"):
        ensure_stream(FakeCluster(there), application())


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_an_ended_stream_is_replaced_once_it_is_gone(state):
    cluster = FakeCluster(application(state), pods=[driver_pod(STREAM, "Succeeded")], lingers=3)
    done = ensure_stream(cluster, application(executors=2))
    assert done.way is Way.REPLACED
    assert cluster.find(APPLICATION_KIND, STREAM, "spark") == application(executors=2)


def test_an_ended_stream_that_does_not_go_away_can_be_tried_again():
    cluster = FakeCluster(application("FAILED"), lingers=10_000)
    with pytest.raises(Unavailable, match="still exists after 60 s") as caught:
        ensure_stream(cluster, application())
    assert caught.value.retryable


class HastyCluster(FakeCluster):
    """Someone else has put a living stream in the place of the ended one before we delete."""

    def delete(self, kind, name, namespace="", uid=""):
        assert uid == "a"
        faster = application("RUNNING")
        faster["metadata"]["uid"] = "b"
        self.put(faster)
        return False


def test_what_someone_else_has_put_in_its_place_is_not_deleted():
    done = ensure_stream(HastyCluster(application("FAILED")), application())
    assert (done.way, done.there["metadata"]["uid"]) == (Way.ADOPTED, "b")


def rival(survey="elasticc", state="RUNNING", prefix="s3a://fink"):
    settings = SETTINGS.model_copy(update={"store_prefix": prefix})
    request = StreamRequest(survey=survey, night="20250101", topic="alerts")
    manifest = make_spark_application(
        request, settings, "registry/fink@sha256:1", "3.5.7", "/opt/fink/bin/stream2raw.py"
    )
    return {**manifest, "status": {"applicationState": {"state": state}}}


def test_two_surveys_never_write_to_one_place():
    cluster = FakeCluster(rival())
    with pytest.raises(
        Refused,
        match=r"must not share folders: .* separate store_prefix for survey ztf in surveys.yaml",
    ):
        ensure_stream(cluster, application())
    assert cluster.find(APPLICATION_KIND, STREAM, "spark") is None


def test_the_driver_of_another_survey_is_seen_without_its_application():
    pod = driver_pod("stream2raw-elasticc-20250101", "Running", by_operator=False)
    pod["spec"]["containers"] = [{"args": rival()["spec"]["arguments"]}]
    with pytest.raises(
        Refused, match="stream2raw-elasticc-20250101-driver already writes night 20250101"
    ):
        ensure_stream(FakeCluster(pods=[pod]), application())


def test_two_claims_are_two_places():
    settings = {"store_prefix": "pvc://one/ztf"}
    mine = StreamRequest(night="20250101", topic="alerts")
    manifest = make_spark_application(
        mine, SETTINGS.model_copy(update=settings), "registry/fink@sha256:1", "3.5.7"
    )
    cluster = FakeCluster(rival(prefix="pvc://two/ztf"))
    assert ensure_stream(cluster, manifest).way is Way.CREATED
    with pytest.raises(Refused, match="must not share"):
        ensure_stream(FakeCluster(rival(prefix="pvc://one/ztf")), manifest)


@pytest.mark.parametrize("other", [{"state": "COMPLETED"}, {"prefix": "s3a://another"}])
def test_another_survey_s_stream_that_has_ended_or_writes_elsewhere_is_no_hindrance(other):
    assert ensure_stream(FakeCluster(rival(**other)), application()).way is Way.CREATED


@pytest.mark.parametrize("there", [[], [application("COMPLETED")]])
@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_no_second_driver_while_an_old_one_lives(phase, there):
    cluster = FakeCluster(*there, pods=[driver_pod(STREAM, phase)])
    with pytest.raises(Refused, match=f"fink_stop with streams={STREAM}") as caught:
        ensure_stream(cluster, application())
    assert caught.value.retryable
    assert len(cluster.objects) == len(there)


def test_the_driver_of_another_night_is_no_hindrance():
    cluster = FakeCluster(pods=[driver_pod("stream2raw-ztf-20250102", "Running")])
    assert ensure_stream(cluster, application()).way is Way.CREATED


def test_a_stream_being_deleted_can_be_tried_again():
    there = application("RUNNING")
    there["metadata"]["deletionTimestamp"] = "2025-01-01T12:00:00Z"
    with pytest.raises(Unavailable, match="being deleted"):
        ensure_stream(FakeCluster(there), application())


class RacedCluster(FakeCluster):
    """Someone else creates `rival` just before we do."""

    def __init__(self, rival):
        super().__init__()
        self.rival = rival

    def create(self, manifest):
        self.put(self.rival)
        return super().create(manifest)


def test_who_loses_the_race_adopts():
    done = ensure_stream(RacedCluster(application("SUBMITTED")), application())
    assert (done.way, done.there) == (Way.ADOPTED, application("SUBMITTED"))


def test_who_loses_the_race_to_another_spec_is_refused():
    with pytest.raises(Conflict, match=r"executor\.instances"):
        ensure_stream(RacedCluster(application(executors=9)), application())


def test_nothing_is_observed_of_a_stream_that_is_not_there():
    cluster = FakeCluster(pods=[driver_pod(STREAM, "Running")])
    assert observe(cluster, "spark", STREAM).application is None


@pytest.mark.parametrize(
    ("phase", "metrics", "log"),
    [("Running", {"gauges": {}}, ""), ("Failed", None, "last words"), ("Pending", None, "")],
)
def test_metrics_come_of_a_running_driver_and_the_log_of_a_failed_one(phase, metrics, log):
    cluster = FakeCluster(application("RUNNING"), pods=[driver_pod(STREAM, phase)])
    cluster.metrics, cluster.log = {"gauges": {}}, "last words"
    seen = observe(cluster, "spark", STREAM)
    assert (seen.state, seen.driver_phase) == ("RUNNING", phase)
    assert (seen.metrics, seen.driver_log) == (metrics, log)


def driver(phase="Running", by_operator=False, ages_s=300, mounts=(), **changes):
    """Return a driver as spark-submit leaves it: its spec and hash in its annotations."""
    manifest = application(**changes)
    pod = driver_pod(STREAM, phase, by_operator=by_operator)
    created = datetime.now(UTC) - timedelta(seconds=ages_s)
    pod["metadata"] |= {
        "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "annotations": {
            ANNOTATION_SPEC_HASH: hash_of(manifest),
            ANNOTATION_SPEC: canonical_json(manifest["spec"]),
        },
    }
    pod["spec"]["volumes"] = [{"name": name, "configMap": {"name": name}} for name in mounts]
    return pod


def by_spark_submit(cluster, create=None, **changes):
    """Ensure the stream as `SparkSubmitStreamOperator` does; return what was done."""

    def start():
        pod = driver("Pending", **changes)
        if cluster.find("Pod", pod["metadata"]["name"], "spark"):
            raise Conflict("already exists")
        cluster.all_pods.append(pod)
        return pod

    way = SubmitWith.SPARK_SUBMIT
    return ensure_stream(cluster, application(**changes), way, create or start)


def test_spark_submit_makes_a_driver_and_no_application():
    cluster = FakeCluster()
    done = by_spark_submit(cluster)
    assert done.way is Way.CREATED
    assert cluster.all_pods == [done.there]
    assert cluster.objects == {}


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
def test_the_same_driver_is_adopted(phase):
    cluster = FakeCluster(pods=[driver(phase)])
    done = by_spark_submit(cluster)
    assert (done.way, done.there) == (Way.ADOPTED, driver(phase))


def test_another_driver_is_refused_with_the_fields_that_differ():
    cluster = FakeCluster(pods=[driver()])
    with pytest.raises(Conflict) as caught:
        by_spark_submit(cluster, executors=3, trigger_interval_s=60)
    assert "(argument -tinterval, executor.instances)" in str(caught.value)
    assert f"trigger fink_stop with streams={STREAM}" in str(caught.value)
    assert cluster.all_pods == [driver()]


@pytest.mark.parametrize("labelled", [True, False])
def test_a_driver_made_by_hand_is_refused_and_not_tried_for_ever(labelled):
    pod = driver()
    pod["metadata"]["annotations"] = None
    if not labelled:
        pod["metadata"]["labels"] = {}
    with pytest.raises(Conflict, match="fields set by hand"):
        by_spark_submit(FakeCluster(pods=[pod]))


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize("asked", [*SubmitWith])
def test_an_ended_driver_gives_way_to_either_way_of_submission(phase, asked):
    cluster = FakeCluster(pods=[driver(phase)])
    if asked is SubmitWith.SPARK_SUBMIT:
        assert by_spark_submit(cluster, executors=2).way is Way.REPLACED
        assert cluster.all_pods == [driver("Pending", executors=2)]
    else:
        assert ensure_stream(cluster, application()).way is Way.REPLACED
        assert cluster.all_pods == []


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_an_ended_application_gives_way_to_spark_submit(state):
    cluster = FakeCluster(application(state), pods=[driver("Failed", by_operator=True)], lingers=2)
    assert by_spark_submit(cluster).way is Way.REPLACED
    assert cluster.find(APPLICATION_KIND, STREAM, "spark") is None
    assert cluster.all_pods == [driver("Pending")]


@pytest.mark.parametrize("state", ["SUBMITTED", "RUNNING", "FAILING", "SUBMISSION_FAILED"])
def test_spark_submit_leaves_a_stream_of_the_operator_alone(state):
    cluster = FakeCluster(application(state), pods=[driver(by_operator=True)])
    with pytest.raises(Refused, match="set submit_with to spark-operator to adopt it") as caught:
        by_spark_submit(cluster)
    assert f"trigger fink_stop with streams={STREAM}" in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
@pytest.mark.parametrize("there", [[], ["COMPLETED"], ["SUBMISSION_FAILED"]])
def test_the_operator_leaves_a_stream_of_spark_submit_alone(phase, there):
    cluster = FakeCluster(*map(application, there), pods=[driver(phase)])
    with pytest.raises(Refused, match="set submit_with to spark-submit to adopt it"):
        ensure_stream(cluster, application())
    assert cluster.all_pods == [driver(phase)]


def test_a_driver_being_deleted_can_be_tried_again():
    pod = driver()
    pod["metadata"]["deletionTimestamp"] = "2025-01-01T12:00:00Z"
    with pytest.raises(Unavailable, match="being deleted"):
        by_spark_submit(FakeCluster(pods=[pod]))


def test_who_loses_the_race_to_spark_submit_adopts():
    cluster = FakeCluster()

    def faster():
        cluster.all_pods = [driver("Pending")]
        raise Conflict("already exists")

    assert by_spark_submit(cluster, create=faster).way is Way.ADOPTED


CONF_MAP = {"kind": "ConfigMap", "metadata": {"name": "conf-map", "namespace": "spark"}}


def test_a_driver_whose_submission_was_cut_off_is_made_anew():
    """Its config map was never made, so it would stay Pending for ever."""
    cluster = FakeCluster(pods=[driver("Pending", mounts=["conf-map"])])
    assert by_spark_submit(cluster).way is Way.REPLACED
    assert cluster.all_pods == [driver("Pending")]


class SubmittedCluster(FakeCluster):
    """The config map of a driver comes at the third look for it, or the driver goes away."""

    looks, comes = 0, True

    def find(self, kind, name, namespace=""):
        if kind == "ConfigMap":
            self.looks += 1
            if self.looks == 3:
                self.put(CONF_MAP) if self.comes else self.all_pods.clear()
        return super().find(kind, name, namespace)


def test_a_driver_that_is_just_being_submitted_is_waited_for():
    cluster = SubmittedCluster(pods=[driver("Pending", mounts=["conf-map"], ages_s=3)])
    assert by_spark_submit(cluster).way is Way.ADOPTED
    assert cluster.looks == 3


def test_a_driver_whose_submission_took_it_back_is_made_anew():
    cluster = SubmittedCluster(pods=[driver("Pending", mounts=["conf-map"], ages_s=3)])
    cluster.comes = False
    assert by_spark_submit(cluster).way is Way.REPLACED
    assert cluster.all_pods == [driver("Pending")]


def test_a_clock_that_is_ahead_makes_nobody_wait_longer():
    cluster = FakeCluster(pods=[driver("Pending", mounts=["conf-map"], ages_s=-3600)])
    assert by_spark_submit(cluster).way is Way.REPLACED


def test_a_driver_that_has_its_config_map_is_whole():
    cluster = FakeCluster(CONF_MAP, pods=[driver("Pending", mounts=["conf-map"])])
    assert by_spark_submit(cluster).way is Way.ADOPTED


@pytest.mark.parametrize("way", [*SubmitWith])
def test_spark_conf_may_not_rename_the_driver_in_either_way(way):
    manifest = application()
    manifest["spec"]["sparkConf"]["spark.kubernetes.driver.pod.name"] = "another"
    with pytest.raises(InvalidRequest, match=r"spark\.kubernetes\.driver\.pod\.name"):
        ensure_stream(FakeCluster(), manifest, way)


def test_a_refusal_of_the_cluster_is_diagnosed(monkeypatch):
    cluster = FakeCluster()
    words = 'Internal error: failed calling webhook "mutate": connection refused'

    def refuse(manifest):
        raise Unavailable(f"POST sparkapplications: {words}")

    monkeypatch.setattr(cluster, "create", refuse)
    with pytest.raises(Unavailable, match=r"\[webhook-away\]") as caught:
        ensure_stream(cluster, application())
    assert caught.value.retryable

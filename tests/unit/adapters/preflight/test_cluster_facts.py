import pytest

from fink_k8s.adapters.preflight import cluster_facts
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, OutOfSight, Unavailable
from fink_k8s.core.config.releases import Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.preflight.prerequisites import FindingLevel
from fink_k8s.core.stream.manifests import make_claim, make_namespace, make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest, SubmitWith
from tests.fakes import FakeCluster, driver_pod

SETTINGS = Settings(
    namespace="spark",
    operator_namespace="spark-operator",
    kafka_servers="kafka:9092",
    store_prefix="s3a://fink",
)
REQUEST = StreamRequest(night="20250101", topic="alerts")
RELEASE = Release(
    fink="4.0",
    spark="3.5.7",
    scala="2.12",
    java=17,
    kubernetes=(
        {"highest": "1.34", "verdict": "tested", "reason": "it ran"},
        {"verdict": "expected", "reason": "nothing speaks against it"},
    ),
)


class FakeStore:
    error = None
    begun: frozenset = frozenset()

    def topics(self, night):
        return self.begun

    def check(self):
        if self.error:
            raise self.error


def deployment(part):
    labels = {"app.kubernetes.io/component": part}
    return {
        "metadata": {"name": part, "namespace": "spark-operator", "labels": labels},
        "status": {"availableReplicas": 1},
    }


def node(memory="8Gi"):
    return {
        "metadata": {"name": "node"},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": memory}},
    }


@pytest.fixture
def cluster():
    made = FakeCluster(make_namespace(SETTINGS))
    made.all_deployments = [deployment("controller"), deployment("webhook")]
    made.all_nodes = [node()]
    return made


@pytest.fixture(autouse=True)
def topics(monkeypatch):
    """The topics of Kafka, or the error that it gives."""
    known = {("kafka:9092", "alerts"): 4}

    def check_topic(servers, topic):
        if error := known.get("error"):
            raise error
        return known[servers, topic]

    monkeypatch.setattr(cluster_facts, "check_topic", check_topic)
    return known


@pytest.fixture
def inspect(cluster):
    def run(settings=SETTINGS, store=None, makes_namespace=False, request=REQUEST, claim_size=None):
        found = cluster_facts.check_facts(
            cluster,
            store or FakeStore,
            settings,
            request,
            RELEASE,
            makes_namespace=makes_namespace,
            claim_size=claim_size,
        )
        return list(found)

    return run


def passing(findings):
    """Return whether each error may pass by itself."""
    return [one.may_pass for one in findings if one.level is FindingLevel.ERROR]


def errors(findings):
    return [str(one) for one in findings if one.level is FindingLevel.ERROR]


def test_where_all_is_well_each_system_is_told(inspect):
    findings = inspect()
    assert [one.level for one in findings] == [FindingLevel.OK] * 7
    texts = [one.text for one in findings]
    assert "there is room" in texts[4]
    assert texts[5:] == ["topic alerts has 4 partitions", "store s3a://fink can be read"]


@pytest.mark.parametrize(
    ("begun", "level"), [("alerts", FindingLevel.OK), ("others", FindingLevel.ERROR)]
)
def test_a_night_goes_on_with_the_topic_that_it_was_begun_with(inspect, monkeypatch, begun, level):
    monkeypatch.setattr(FakeStore, "begun", {begun})
    finding = inspect()[-1]
    assert finding.level is level
    if level is FindingLevel.ERROR:
        assert "night 20250101 was started with topic others" in finding.text
        assert "set topic to others" in str(finding)


def test_a_night_waits_for_its_topic_and_a_bring_up_does_not(inspect, topics):
    topics["error"] = InvalidRequest("topic alerts does not exist on kafka:9092; create the topic")
    assert errors(inspect()) == [
        "error: topic alerts does not exist on kafka:9092; create the topic"
    ]
    found = inspect(request=NightRequest(night="20250101", topic="alerts"))
    assert errors(found) == []
    [waiting] = [one for one in found if "topic alerts" in one.text]
    assert waiting.level is FindingLevel.WARNING
    assert "reads it as soon as it exists" in waiting.remedy


def test_a_system_that_does_not_answer_does_not_hide_the_others(inspect, cluster, topics):
    def away():
        raise Unavailable("the API server is away")

    cluster.version = away
    topics["error"] = Unavailable("Kafka is away")
    store = FakeStore()
    store.error = NotPermitted("the store refuses")
    assert errors(inspect(store=lambda: store)) == [
        "error: the API server is away",
        "error: Kafka is away",
        "error: the store refuses",
    ]
    assert passing(inspect(store=lambda: store)) == [True, True, False]


def test_findings_come_while_the_slower_systems_are_still_asked(cluster):
    store = FakeStore()
    store.error = AssertionError("asked too early")
    found = cluster_facts.check_facts(
        cluster, lambda: store, SETTINGS, REQUEST, RELEASE, makes_namespace=False
    )
    assert "1.34" in next(found).text


def test_a_cluster_without_operator_is_an_error(inspect, cluster):
    cluster.has_crd = False
    (only,) = errors(inspect())
    assert "Helm chart" in only


def test_an_operator_elsewhere_is_an_error_for_each_part(inspect, cluster):
    cluster.all_deployments[0]["metadata"]["namespace"] = "elsewhere"
    (only,) = errors(inspect())
    assert "controller is not in namespace spark-operator" in only
    assert passing(inspect()) == [False]


def test_an_operator_that_is_being_moved_may_be_there_in_a_while(inspect, cluster):
    cluster.all_deployments[0]["status"] = {}
    (only,) = errors(inspect())
    assert "controller is not available" in only
    assert passing(inspect()) == [True]


def test_a_version_that_was_not_tested_is_a_warning(inspect, cluster):
    cluster.minor = "1.36"
    findings = inspect()
    assert findings[0].level is FindingLevel.WARNING
    assert errors(findings) == []


@pytest.mark.parametrize(
    ("makes", "level"), [(True, FindingLevel.WARNING), (False, FindingLevel.ERROR)]
)
def test_a_missing_namespace_matters_where_no_one_makes_it(inspect, cluster, makes, level):
    cluster.objects.clear()
    findings = inspect(makes_namespace=makes)
    (about,) = [one for one in findings if "namespace spark does not exist" in one.text]
    assert about.level is level


def test_a_stream_that_finds_no_room_is_an_error(inspect, cluster):
    cluster.all_nodes = [node(memory="1Gi")]
    (only,) = errors(inspect())
    assert "more than the nodes have free: node: 4.0 CPU, 1.0 GiB" in only
    assert passing(inspect()) == [True], "another stream may end, a node may come"


def test_pods_of_all_namespaces_take_room(inspect, cluster):
    asks = {"requests": {"cpu": "100m", "memory": "7Gi"}}
    cluster.all_pods = [
        {
            "metadata": {"name": "other", "namespace": "elsewhere", "labels": {}},
            "spec": {"nodeName": "node", "containers": [{"resources": asks}]},
            "status": {"phase": "Running"},
        }
    ]
    (only,) = errors(inspect())
    assert "more than the nodes have free: node: 3.9 CPU, 1.0 GiB" in only


def test_a_stream_that_runs_needs_no_more_room(inspect, cluster):
    there = make_spark_application(REQUEST, SETTINGS, "image", "3.5.7")
    there["status"] = {"applicationState": {"state": "RUNNING"}}
    cluster.put(there)
    cluster.all_nodes = []
    findings = inspect()
    assert errors(findings) == []
    assert "stream2raw-ztf-20250101 is running and will be adopted" in findings[4].text


def test_brokers_that_are_not_set_are_named(inspect):
    (only,) = errors(inspect(SETTINGS.model_copy(update={"kafka_servers": ""})))
    assert "FINK_KAFKA_SERVERS is not set" in only


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_a_stream_that_has_ended_needs_room_again(inspect, cluster, state):
    there = make_spark_application(REQUEST, SETTINGS, "image", "3.5.7")
    there["status"] = {"applicationState": {"state": state}}
    cluster.put(there)
    cluster.all_nodes = [node(memory="1Gi")]
    (only,) = errors(inspect())
    assert "more than the nodes have free: node" in only


def test_spark_submit_needs_no_operator(cluster, inspect):
    cluster.has_crd, cluster.all_deployments = False, []
    assert any("SparkApplication" in one.text for one in inspect())
    request = REQUEST.model_copy(update={"submit_with": SubmitWith.SPARK_SUBMIT})
    findings = inspect(request=request)
    assert not [one for one in findings if one.level is FindingLevel.ERROR]


def test_a_driver_of_spark_submit_is_known_and_claims_no_room_again(cluster, inspect):
    cluster.all_nodes = [node("1Gi")]
    cluster.all_pods = [driver_pod(REQUEST.stream, "Running", by_operator=False)]
    request = REQUEST.model_copy(update={"submit_with": SubmitWith.SPARK_SUBMIT})
    assert any("will be adopted" in one.text for one in inspect(request=request))
    [error] = [one for one in inspect() if one.level is FindingLevel.ERROR]
    assert "is already running, submitted with spark-submit" in error.text


CLAIM = SETTINGS.model_copy(update={"store_prefix": "pvc://raw/ztf"})


def test_a_claim_that_is_not_there_is_an_error(inspect):
    (only,) = errors(inspect(CLAIM))
    assert "claim raw is not in namespace spark; create it, or trigger with create_claim" in only


def test_a_claim_that_will_be_made_is_none(inspect):
    findings = inspect(CLAIM, claim_size="1Gi")
    assert errors(findings) == []
    assert "claim raw will be created (1Gi)" in findings[-2].text


@pytest.mark.parametrize(("asked", "is_error"), [("9Gi", False), ("10Gi", False), ("11Gi", True)])
def test_a_claim_is_asked_for_no_more_than_it_has(inspect, cluster, asked, is_error):
    claim = make_claim(CLAIM, "10Gi")
    claim["spec"]["accessModes"] = ["ReadWriteMany"]
    cluster.put({**claim, "status": {"phase": "Bound"}})
    found = errors(inspect(CLAIM, claim_size=asked))
    assert len(found) == is_error
    if is_error:
        assert f"has 10Gi, but the form requests {asked}" in found[0]


def test_a_claim_is_judged_by_the_nodes_that_take_pods(inspect, cluster):
    claim = make_claim(CLAIM, "1Gi")
    claim["spec"]["accessModes"] = ["ReadWriteOnce"]
    claim["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    cluster.put(claim)
    away = {**node(), "metadata": {"name": "away"}, "spec": {"unschedulable": True}}
    cluster.all_nodes = [node(), away]
    assert [one.level for one in inspect(CLAIM)[-2:]] == [FindingLevel.OK] * 2
    cluster.all_nodes = [node(), {**node(), "metadata": {"name": "other"}}]
    assert "2 nodes take pods" in inspect(CLAIM)[-2].text


def test_a_store_that_airflow_does_not_see_is_a_warning(inspect):
    def out_of_sight():
        raise OutOfSight("FINK_STORE_MOUNT is not set")

    finding = inspect(CLAIM, store=out_of_sight, claim_size="1Gi")[-1]
    assert finding.level is FindingLevel.WARNING
    assert "pvc://raw/ztf; the driver's own counts are used" in finding.text
    assert finding.remedy == "FINK_STORE_MOUNT is not set"


IMAGE = SETTINGS.model_copy(update={"image_repository": "r.org/fink", "image_base": "r.org/base:1"})
LOGIN = Login("r.org", "fink", "canary")


def image_findings(settings=IMAGE, login=None, **form):
    return list(cluster_facts.check_image_plan(settings, ImageRequest(**form), RELEASE, login))


@pytest.mark.shows("docs/from-the-command-line.md#code")
def test_the_preflight_says_what_will_be_built():
    first, second = image_findings()
    assert (first.level, second.level) == (FindingLevel.OK, FindingLevel.OK)
    assert (
        first.text == "image r.org/fink:4.0_3.5.7: Spark 3.5.7 on r.org/base:1, this project's job"
    )
    assert "build and push" in second.text


def test_code_that_is_not_to_be_had_is_found_before_anything_is_made(tmp_path):
    settings = IMAGE.model_copy(update={"sources": str(tmp_path), "cache_dir": tmp_path / "cache"})
    found = image_findings(settings, fink_source="fink")
    assert found[-1].level is FindingLevel.ERROR
    assert "fink_source fink does not exist" in found[-1].text
    (tmp_path / "fink/bin").mkdir(parents=True)
    (tmp_path / "fink/bin/stream2raw.py").write_text("")
    found = image_findings(settings, fink_source="fink", fink_requirements="none")
    assert str(found[-1]) == "ok: Fink's code: fink, a folder as it is now"


def test_a_setting_that_the_image_needs_is_an_error_with_its_name():
    [found] = image_findings(SETTINGS)
    assert found.level is FindingLevel.ERROR
    assert "FINK_IMAGE_REPOSITORY" in found.text


def test_a_registry_with_a_login_of_which_the_cluster_has_none_is_warned_of():
    assert image_findings(login=LOGIN)[-1].level is FindingLevel.WARNING
    with_secret = IMAGE.model_copy(update={"image_pull_secret": "fink-registry"})
    assert image_findings(with_secret, LOGIN)[-1].level is FindingLevel.OK
    other = Login("other.org", "fink", "canary")
    assert image_findings(login=other)[-1].level is FindingLevel.OK

"""Why a stream cannot start: each cause made for real, and named within a minute."""

import json
import time

import pytest

from fink_k8s.adapters.cluster import Cluster
from fink_k8s.adapters.images import resolve
from fink_k8s.adapters.rights import ensure_rights
from fink_k8s.adapters.streams import DriverLog, ensure_stream, observe
from fink_k8s.core.diagnosis import Category
from fink_k8s.core.errors import FinkError
from fink_k8s.core.manifests import make_spark_application
from fink_k8s.core.releases import releases_from
from fink_k8s.core.requests import RbacMode, StreamRequest
from fink_k8s.core.settings import load_settings
from fink_k8s.core.watch import Goal, Watch, utc_now
from testbed.node import kubectl
from testbed.places import ROOT
from tests.operator_away import away

pytestmark = [pytest.mark.testbed, pytest.mark.timeout(180)]
REQUEST = StreamRequest(night="20260110", topic="no_alerts_here")


@pytest.fixture(scope="module")
def settings(environment):
    return load_settings()


@pytest.fixture
def cluster(kubernetes, settings):
    cluster = Cluster(kubernetes)
    ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, print)
    yield cluster
    cluster.delete("SparkApplication", REQUEST.stream, settings.namespace)
    while cluster.find("SparkApplication", REQUEST.stream, settings.namespace):
        time.sleep(0.5)


def manifest_of(settings, request=REQUEST):
    release = releases_from((ROOT / "include/releases.yaml").read_text()).get()
    image = resolve(settings.image_repository, release.tag)
    return make_spark_application(request, settings, image, release.spark)


def cause_of(cluster, manifest):
    """Submit, look as the trigger does, and return the reason that is given within a minute."""
    begun = time.monotonic()
    namespace = manifest["metadata"]["namespace"]
    log = DriverLog(cluster, namespace)
    watch = Watch(Goal.HEALTHY)
    try:
        ensure_stream(cluster, manifest)
        while time.monotonic() - begun < 60:
            seen = observe(cluster, namespace, manifest["metadata"]["name"], log)
            if outcome := watch.judge(seen, utc_now()):
                assert not outcome.reached, outcome.reason
                return outcome.reason
            time.sleep(1)
    except FinkError as error:
        return str(error)
    finally:
        log.close()
    pytest.fail(f"no cause within a minute; last: {watch.last}")


def test_no_node_has_room(cluster, settings):
    request = REQUEST.model_copy(update={"driver_memory": "900g"})
    assert f"[{Category.UNSCHEDULABLE}]" in cause_of(cluster, manifest_of(settings, request))


def test_the_quota_is_used_up(cluster, settings):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "nothing", "namespace": settings.namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    try:
        assert f"[{Category.QUOTA}]" in cause_of(cluster, manifest_of(settings))
    finally:
        kubectl("-n", settings.namespace, "delete", "resourcequota", "nothing")


def test_the_secret_is_missing(cluster, settings):
    other = settings.model_copy(update={"store_secret": "no-such-secret"})
    cause = cause_of(cluster, manifest_of(other))
    assert f"[{Category.SECRET_MISSING}]" in cause
    assert "no-such-secret" in cause


def test_the_account_is_missing(cluster, settings):
    other = settings.model_copy(update={"service_account": "no-such-account"})
    cause = cause_of(cluster, manifest_of(other))
    assert f"[{Category.RIGHT_MISSING}]" in cause
    assert "no-such-account" in cause


def test_spark_submit_fails_in_the_operator(cluster, settings):
    manifest = manifest_of(settings)
    manifest["spec"]["sparkConf"]["spark.kubernetes.driver.pod.featureSteps"] = "no.such.Step"
    cause = cause_of(cluster, manifest)
    assert f"[{Category.SUBMISSION_FAILED}]" in cause
    assert "no.such.Step" in cause


def test_the_operator_is_away_and_the_stream_starts_when_it_is_back(cluster, settings):
    with away("spark-operator-controller"):
        assert f"[{Category.OPERATOR_AWAY}]" in cause_of(cluster, manifest_of(settings))
    deadline = time.monotonic() + 60
    while observe(cluster, settings.namespace, REQUEST.stream).driver_phase != "Running":
        assert time.monotonic() < deadline
        time.sleep(1)


def test_the_webhook_is_away(cluster, settings):
    with away("spark-operator-webhook"):
        assert f"[{Category.WEBHOOK_AWAY}]" in cause_of(cluster, manifest_of(settings))

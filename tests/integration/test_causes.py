"""Why a stream cannot start: each cause made for real, and named within a minute.

Twice: by the trigger that waits for the stream, and by the full look of `fink_diagnose`.
"""

import json
import time

import pytest

from fink_k8s.adapters.stream.streams import observe
from fink_k8s.core.diagnosis.catalogue import Category
from testbed.node import kubectl
from tests.integration.trouble import category_of, manifest_of, reason_of, request_of
from tests.operator_away import away

pytestmark = [pytest.mark.testbed, pytest.mark.timeout(180)]
REQUEST = request_of("20260110")


@pytest.fixture
def ended(bed):
    bed.ended.append(REQUEST.stream)
    return bed


@pytest.mark.shows("docs/from-the-command-line.md#look")
def test_no_node_has_room(ended, settings):
    request = REQUEST.model_copy(update={"driver_memory": "900g"})
    named(ended, manifest_of(settings, request), Category.UNSCHEDULABLE)


def test_the_quota_is_used_up(ended, settings):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "nothing", "namespace": settings.namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    try:
        named(ended, manifest_of(settings, REQUEST), Category.QUOTA)
    finally:
        kubectl("-n", settings.namespace, "delete", "resourcequota", "nothing")


def test_the_image_cannot_be_pulled(ended, settings):
    manifest = manifest_of(settings, REQUEST)
    manifest["spec"]["image"] = f"{settings.image_repository}@sha256:{'0' * 64}"
    assert settings.image_repository in named(ended, manifest, Category.IMAGE_PULL)


def test_the_secret_is_missing(ended, settings):
    other = settings.model_copy(update={"store_secret": "no-such-secret"})
    cause = named(ended, manifest_of(other, REQUEST), Category.SECRET_MISSING)
    assert "no-such-secret" in cause


def test_the_account_is_missing(ended, settings):
    other = settings.model_copy(update={"service_account": "no-such-account"})
    cause = named(ended, manifest_of(other, REQUEST), Category.RIGHT_MISSING)
    assert "no-such-account" in cause


def test_spark_submit_fails_in_the_operator(ended, settings):
    manifest = manifest_of(settings, REQUEST)
    manifest["spec"]["sparkConf"]["spark.kubernetes.driver.pod.featureSteps"] = "no.such.Step"
    assert "no.such.Step" in named(ended, manifest, Category.SUBMISSION_FAILED)


def test_the_operator_is_away_and_the_stream_starts_when_it_is_back(ended, settings):
    with away("spark-operator-controller"):
        named(ended, manifest_of(settings, REQUEST), Category.OPERATOR_AWAY)
    deadline = time.monotonic() + 60
    while observe(ended.cluster, settings.namespace, REQUEST.stream).driver_phase != "Running":
        assert time.monotonic() < deadline
        time.sleep(1)


def test_the_webhook_is_away(ended, settings):
    with away("spark-operator-webhook"):
        named(ended, manifest_of(settings, REQUEST), Category.WEBHOOK_AWAY)


def named(bed, manifest, category):
    """Check that both looks name `category`; return the trigger's line."""
    reason = reason_of(bed.cluster, manifest)
    assert f"[{category}]" in reason
    # A refused submission leaves nothing to look at but what the task said.
    gone = bed.cluster.find("SparkApplication", REQUEST.stream, bed.settings.namespace) is None
    assert category_of(bed, manifest, said=reason if gone else "") == category
    return reason

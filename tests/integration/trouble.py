"""Streams in trouble: made for real, looked at as the trigger and as `fink_diagnose` look."""

import time

import pytest

from fink_k8s.adapters.diagnosis.evidence_sources import gather
from fink_k8s.adapters.image.image_build import resolve
from fink_k8s.adapters.stream.streams import DriverLog, ensure_stream, observe
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.errors import FinkError
from fink_k8s.core.config.releases import releases_from
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.diagnosis_report import diagnosis_report_of
from fink_k8s.core.health.goal_watch import Goal, Watch
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from testbed.node import kubectl
from testbed.places import ROOT
from tests.recording import record

OPERATOR = "spark-operator"


def request_of(night, topic="no_alerts_here", **fields):
    return StreamRequest(night=night, topic=topic, **fields)


def manifest_of(settings, request):
    release = releases_from((ROOT / "include/releases.yaml").read_text()).get()
    image = resolve(settings.image_repository, release.tag)
    return make_spark_application(request, settings, image, release.spark)


def reason_of(cluster, manifest, seconds=60):
    """Submit, look as the trigger does, and return the reason that is given within a minute."""
    begun = time.monotonic()
    namespace = manifest["metadata"]["namespace"]
    log = DriverLog(cluster, namespace)
    watch = Watch(Goal.HEALTHY)
    try:
        ensure_stream(cluster, manifest)
        while time.monotonic() - begun < seconds:
            seen = observe(cluster, namespace, manifest["metadata"]["name"], log)
            if outcome := watch.judge(seen, utc_now()):
                assert not outcome.reached, outcome.reason
                return outcome.reason
            time.sleep(1)
    except FinkError as error:
        return str(error)
    finally:
        log.close()
    pytest.fail(f"no cause within {seconds} s; last: {watch.last}")


def category_of(bed, manifest, said="", **options):
    """Look as `fink_diagnose` does; keep what was seen under the category's name."""
    evidence = look_at(bed, manifest["metadata"]["name"], said, **options)
    found = diagnose(evidence)
    print(diagnosis_report_of(manifest["metadata"]["name"], evidence, found))
    if found:
        record(found.category.value, evidence)
    return found.category if found else None


def look_at(bed, stream, said="", **options):
    failures = {"submit.submit_application": said} if said else {}
    return gather(
        bed.cluster, bed.settings, stream, lambda: bed.store, failures=failures, **options
    )


def wait_for_category(bed, manifest, category, seconds, name="", **options):
    """Look again and again until `category` is found; return the seconds that took.

    What was seen is kept under `name`, or the category's.
    """
    begun = time.monotonic()
    found = None
    while time.monotonic() - begun < seconds:
        evidence = look_at(bed, manifest["metadata"]["name"], **options)
        found = diagnose(evidence)
        if found and found.category == category:
            print(diagnosis_report_of(manifest["metadata"]["name"], evidence, found))
            record(name or category.value, evidence)
            return time.monotonic() - begun
        time.sleep(1)
    pytest.fail(f"no {category} within {seconds} s; last: {found}")


def wait_for_words(bed, manifest, words, seconds):
    """Wait until the driver says `words`."""
    pod = f"{manifest['metadata']['name']}-driver"
    begun = time.monotonic()
    while words not in bed.cluster.driver_log(bed.settings.namespace, pod, 400):
        assert time.monotonic() - begun < seconds, f"the driver does not say {words}"
        time.sleep(1)


def delete(bed, stream):
    bed.cluster.delete("SparkApplication", stream, bed.settings.namespace)
    # A driver that hangs would be given two minutes to end.
    kubectl("-n", bed.settings.namespace, "delete", "pods", "--force", "--grace-period=0",
            "-l", f"sparkoperator.k8s.io/app-name={stream}")  # fmt: skip
    while bed.cluster.find("SparkApplication", stream, bed.settings.namespace):
        time.sleep(0.5)

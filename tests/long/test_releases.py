"""Every release that the matrix does not refuse here, through Airflow and the one DAG."""

import json
import time

import docker
import pytest
from packaging.version import Version

from fink_k8s.adapters.image.distribution import ensure_distribution, ensure_jars
from fink_k8s.adapters.image.image_build import ensure_image
from fink_k8s.core.config.releases import SupportVerdict, releases_from
from fink_k8s.core.config.settings import load_settings
from testbed import bed, own_images, pins
from testbed.places import RELEASES, ROOT
from tests.e2e.driving import (
    DEPLOY,
    NAMESPACE,
    NOT_NEEDED,
    application,
    kubectl,
    unused_night,
)
from tests.e2e.test_deploy import wait_for_counts

pytestmark = [
    pytest.mark.long,
    pytest.mark.testbed,
    pytest.mark.e2e,
    pytest.mark.timeout(1200),
]

MATRIX = releases_from(RELEASES.read_text())
HERE = "{0.major}.{0.minor}".format(Version(pins.KUBERNETES))
RUNNABLE = [
    release
    for release in MATRIX.releases
    if release.support_on(HERE).verdict is not SupportVerdict.REFUSED
]
OLD = MATRIX.get("0.7.0_2.4.4")
SENT, DAMAGED = 400, 8


@pytest.mark.shows("docs/from-the-command-line.md#release", "CONTRIBUTING.md#add-release")
@pytest.mark.parametrize("release", RUNNABLE, ids=lambda release: release.tag)
def test_a_release_stores_every_alert(fink, store, ended, release, record_property):
    bed.prepare(release, print)
    night = unused_night(5 + RUNNABLE.index(release))
    topic = f"releases_{time.time():.0f}"
    stream = f"stream2raw-ztf-{night}"
    fink.produce(topic, SENT, corrupt=DAMAGED)
    ended.append(stream)
    run = fink.run(DEPLOY, release=release.tag, night=night, topic=topic)
    assert run.states() == dict.fromkeys(run.tasks, "success") | NOT_NEEDED
    counts = wait_for_counts(store, night, read=SENT)
    for figure in ("read", "stored", "set_aside"):
        record_property(figure, getattr(counts, figure))
    record_property("deploy", f"{run.seconds:.0f} s")
    assert (counts.read, counts.stored, counts.set_aside) == (SENT, SENT - DAMAGED, DAMAGED)
    assert counts.is_complete
    assert application(stream)["spec"]["image"] == run.xcom("image.build_image")
    assert spark_of(stream) == release.spark


def test_nothing_is_called_tested_on_a_version_that_is_not_run_here():
    for release in MATRIX.releases:
        tested = [s.versions for s in release.kubernetes if s.verdict is SupportVerdict.TESTED]
        assert set(tested) <= {HERE}


@pytest.mark.shows("docs/from-the-command-line.md#release")
def test_the_release_that_cannot_run_here_is_refused_before_anything_is_made(fink):
    night = unused_night(9)
    run = fink.run(DEPLOY, release=OLD.tag, night=night, topic="no_alerts_here")
    assert run.states()["check_prerequisites"] == "failed"
    assert run.states()["rbac.grant_rights"] == "upstream_failed"
    log = run.log("check_prerequisites")
    assert "Spark 2.4.x never works above Kubernetes 1.15" in log
    assert night not in kubectl("get", "sparkapplications")


def test_of_the_oldest_release_the_image_is_built_as_far_as_its_parts_are_to_be_had(environment):
    with pytest.raises(bed.TestbedError, match="Java 8"):
        bed.prepare(OLD, print)
    java11 = MATRIX.get("2.4_3.1.3")
    bed.prepare(java11, print)
    # Its Java 8 is in no Debian any more: the layers are built, not proved to run.
    settings = load_settings().model_copy(
        update={
            "image_base": own_images.BASE.format(java=java11.java),
            "image_repository": f"{pins.REGISTRY}/fink/unproved",
        }
    )
    bed.builds.ensure_archive(OLD.spark, OLD.pyspark_sha512, print)
    home = ensure_distribution(settings, OLD, print)
    jars = ensure_jars(settings, OLD, print)
    engine = docker.APIClient(environment["DOCKER_HOST"], timeout=600)
    result = ensure_image(engine, settings, OLD, home, jars, ROOT / "include", print)
    said = run_in(engine, result.reference, "/opt/spark/bin/spark-submit", "--version")
    assert f"version {OLD.spark}" in said
    listed = run_in(engine, result.reference, "ls", "/opt/spark/jars")
    assert {jar.file for jar in OLD.jars} | {"fink-decoder.jar"} <= set(listed.split())


def spark_of(stream: str) -> str:
    """Return the version that the driver itself tells."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{stream}-driver:4040/proxy/api/v1/version"
    return json.loads(kubectl("get", "--raw", path))["spark"]


def run_in(engine, image: str, *command: str) -> str:
    """Run a command in a container of the image and return its output."""
    repository, _, digest = image.partition("@")
    engine.pull(repository, tag=digest)
    made = engine.create_container(image, command=list(command), network_disabled=True)
    try:
        engine.start(made)
        engine.wait(made, timeout=120)
        return engine.logs(made).decode()
    finally:
        engine.remove_container(made, force=True)

"""Releases beside the current one by plain spark-submit, each with its own Spark's program."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fink_k8s.core.config.releases import releases_from
from fink_k8s.core.stream.manifests import ENFORCE, RESTRICTED
from testbed import bed
from testbed.places import RELEASES
from tests.e2e.driving import DEPLOY, NAMESPACE, drivers, kubectl, unused_night
from tests.e2e.test_deploy import wait_for_counts

pytestmark = [pytest.mark.long, pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(900)]

OLD, NEW = "2.4_3.1.3", "4.0_4.2.0"
BY_SUBMIT = {"submit_with": "spark-submit"}


@contextmanager
def admitting(level: str) -> Iterator[None]:
    """Let the streams' namespace enforce another level of Pod Security for a while."""
    kubectl("label", "namespace", NAMESPACE, f"{ENFORCE}={level}", "--overwrite")
    try:
        yield
    finally:
        kubectl("label", "namespace", NAMESPACE, f"{ENFORCE}={RESTRICTED}", "--overwrite")


@pytest.fixture(scope="module")
def prepared(environment):
    """Return a function that has a release's archive and base image in place."""
    matrix = releases_from(RELEASES.read_text())
    return lambda tag: bed.prepare(matrix.get(tag), print)


def test_an_old_spark_is_refused_where_it_cannot_make_its_pods(fink, prepared):
    prepared(OLD)
    night = unused_night(5)
    run = fink.run(DEPLOY, release=OLD, night=night, topic="no_alerts_here", **BY_SUBMIT)
    assert run.states()["check_prerequisites"] == "failed"
    said = run.log("check_prerequisites")
    assert "enforces Pod Security restricted, which pods of Spark 3.1.3 cannot meet" in said
    assert "set submit_with to spark-operator" in said
    assert drivers(f"stream2raw-ztf-{night}") == []


@pytest.mark.parametrize(
    ("tag", "level", "number"), [(OLD, "baseline", 6), (NEW, RESTRICTED, 7)], ids=[OLD, NEW]
)
def test_a_release_stores_every_alert(fink, store, prepared, tag, level, number, record_property):
    prepared(tag)
    night, topic = unused_night(number), f"submit_releases_{time.time():.0f}"
    fink.produce(topic, 200, corrupt=3)
    form = {"release": tag, "night": night, "topic": topic, "skip": ["rbac"], **BY_SUBMIT}
    try:
        with admitting(level):
            run = fink.run(DEPLOY, **form)
            assert run.state == "success"
            # A task that Airflow had to start once more finds what its first try made.
            tries = run.tasks["submit.spark_submit"]["try_number"]
            way = run.xcom("submit.spark_submit")["way"]
            assert way == ("created" if tries == 1 else "adopted")
            counts = wait_for_counts(store, night, read=200)
            record_property("deploy", f"{run.seconds:.0f} s")
            record_property("stored", counts.stored)
            assert (counts.read, counts.stored, counts.set_aside) == (200, 197, 3)
            [driver] = drivers(f"stream2raw-ztf-{night}")
            assert driver["spec"]["containers"][0]["image"] == run.xcom("image.build_image")
    finally:
        kubectl("delete", "pod", f"stream2raw-ztf-{night}-driver", "--ignore-not-found",
                "--grace-period=1")  # fmt: skip

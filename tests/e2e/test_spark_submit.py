"""The chain `fink_deploy` on a cluster whose Spark Operator is away, by plain spark-submit."""

import json
import time
from pathlib import Path

import pytest
import yaml

from fink_k8s.adapters.store.raw_store import NightCounts
from tests.e2e.driving import DEPLOY, drivers, kubectl, unused_night, wait_for_counts
from tests.operator_away import without_operator

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(600)]

NIGHT = unused_night(1)
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"submit_{time.time():.0f}"
FORM = {"night": NIGHT, "topic": TOPIC, "submit_with": "spark-submit"}


@pytest.fixture(scope="module")
def deployed(fink):
    """The stream, up without operator; the operator stays away as long as the tests last."""
    fink.produce(TOPIC, 200, corrupt=3)
    with without_operator():
        yield fink.run(DEPLOY, **FORM)
        kubectl("delete", "pod", f"{STREAM}-driver", "--ignore-not-found", "--grace-period=1")


@pytest.mark.shows("docs/from-the-command-line.md#submit")
def test_the_chain_needs_no_operator(deployed, store):
    states = deployed.states()
    assert deployed.state == "success"
    assert states["check_prerequisites"] == states["submit.spark_submit"] == "success"
    assert states["submit.submit_application"] == "skipped"
    done = deployed.xcom("submit.spark_submit")
    tries = deployed.tasks["submit.spark_submit"]["try_number"]
    assert done == {
        "way": "created" if tries == 1 else "adopted",
        "application": STREAM,
        "driver_pod": f"{STREAM}-driver",
    }
    assert STREAM not in kubectl("get", "sparkapplications")
    assert wait_for_counts(store, NIGHT, 200) == NightCounts(
        batches=1, read=200, stored=197, set_aside=3
    )


def test_no_credential_is_in_a_log_or_a_result(deployed, environment):
    kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG_AIRFLOW"]).read_text())
    secrets = [kubeconfig["users"][0]["user"]["token"], environment["AWS_SECRET_ACCESS_KEY"]]
    seen = "".join(map(deployed.log, deployed.tasks)) + json.dumps(drivers(STREAM))
    seen += str([deployed.xcom(task) for task in deployed.tasks])
    assert "--conf spark.kubernetes.driver.pod.name" in seen
    for secret in secrets:
        assert secret not in seen


def test_the_spark_ui_opens_from_the_task_that_submitted(fink, deployed):
    link = fink.client.links(DEPLOY, deployed.run_id, "submit.spark_submit")["Spark UI"]
    page = fink.client.page(link)
    assert page.status_code == 200
    assert "Spark Jobs" in page.text


def test_a_second_run_adopts_the_one_driver(fink, deployed):
    before = [pod["metadata"]["uid"] for pod in drivers(STREAM)]
    run = fink.run(DEPLOY, **FORM, skip=["preflight", "rbac", "image", "first_batch"])
    assert run.state == "success"
    assert run.xcom("submit.spark_submit")["way"] == "adopted"
    assert [pod["metadata"]["uid"] for pod in drivers(STREAM)] == before


def test_the_other_way_is_refused_by_name(fink, deployed):
    before = [pod["metadata"]["uid"] for pod in drivers(STREAM)]
    form = FORM | {"submit_with": "spark-operator"}
    run = fink.run(DEPLOY, **form, skip=["preflight", "rbac", "image", "first_batch"])
    assert run.states()["submit.submit_application"] == "failed"
    assert run.states()["submit.spark_submit"] == "skipped"
    assert "set submit_with to spark-submit to adopt it" in run.log("submit.submit_application")
    assert [pod["metadata"]["uid"] for pod in drivers(STREAM)] == before
    assert STREAM not in kubectl("get", "sparkapplications")


def test_it_is_diagnosed_and_stopped_as_any_stream(fink, deployed):
    [result] = fink.run("fink_diagnose", stream=STREAM).xcom("diagnose_streams")
    assert result["line"] == f"{STREAM}: no problem found"
    run = fink.run("fink_stop", streams=[STREAM])
    assert run.state == "success"
    [line] = run.xcom("stop.report")
    assert "ended gracefully" in line
    assert "(exit code 0" in line
    assert "200 read = 197 stored" in line
    left = kubectl("get", "pods,services,configmaps", "-o", "yaml")
    assert STREAM not in left

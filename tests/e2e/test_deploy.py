"""The chain `fink_deploy` on a real cluster, as one triggers it."""

import json
import os
import re
import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from pyarrow import fs

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.store.raw_store import NightCounts
from fink_k8s.adapters.stream.streams import observe
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.health.stream_health import HealthVerdict, assess
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.prometheus import EXECUTORS_PATH
from fink_k8s.core.stream.stream_request import StreamRequest
from tests.e2e.driving import (
    DEPLOY,
    NAMESPACE,
    NOT_NEEDED,
    application,
    drivers,
    kubectl,
    lines_with,
    pods,
    seconds_to_first_cause,
    uids_of,
    unused_night,
    wait_for_counts,
)
from tests.pod_security import breaches_of_restricted

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(900)]

NIGHT = unused_night()
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"e2e_{time.time():.0f}"
SLEEPER = "stream2raw-ztf-20260109"
# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(
    rf"[a-zA-Z_:][a-zA-Z0-9_:]*({{({LABEL}(, ?)?)*}})? (NaN|[+-]?Inf|-?[0-9.]+(E-?[0-9]+)?)"
)


@pytest.fixture(scope="module")
def deployed(fink):
    fink.produce(TOPIC, 400, corrupt=8)
    run = fink.run(DEPLOY, night=NIGHT, topic=TOPIC)
    assert run.state == "success"
    yield run
    kubectl("delete", "sparkapplication", STREAM, "--ignore-not-found")


@pytest.fixture(scope="module")
def sleeper(fink, deployed):
    """A stream whose query dies 20 s after its start, under a driver that goes on."""
    settings = load_settings()
    request = StreamRequest(night="20260109", topic=TOPIC)
    image = deployed.xcom("image.build_image")
    manifest = make_spark_application(request, settings, image, "3.5.7")
    spec = manifest["spec"]
    spec["mainApplicationFile"] = "local:///opt/job/fink_like_job.py"
    spec["volumes"].append({"name": "job", "configMap": {"name": "fink-like-job"}})
    spec["driver"]["volumeMounts"].append({"name": "job", "mountPath": "/opt/job"})
    job = Path(__file__).with_name("fink_like_job.py").read_text()
    job_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "fink-like-job"},
        "data": {"fink_like_job.py": job},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(job_map))
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    yield request
    kubectl("delete", "sparkapplication", SLEEPER, "--ignore-not-found")
    kubectl("delete", "configmap", "fink-like-job")


@pytest.mark.shows(
    "docs/from-the-command-line.md#submit",
    "docs/from-the-command-line.md#paths",
    "docs/stores.md#s3",
)
def test_the_chain_from_nothing_stores_every_alert(deployed, store):
    states = deployed.states()
    assert states == dict.fromkeys(states, "success") | NOT_NEEDED
    assert "@sha256:" in deployed.xcom("image.build_image")
    submitted = deployed.xcom("submit.submit_application")
    # A task that Airflow had to start once more finds what its first try made.
    tries = deployed.tasks["submit.submit_application"]["try_number"]
    assert submitted["way"] == ("created" if tries == 1 else "adopted")
    assert submitted["application"] == STREAM
    assert wait_for_counts(store, NIGHT, read=400) == NightCounts(
        batches=1, read=400, stored=392, set_aside=8
    )


@pytest.mark.shows("docs/from-the-command-line.md#push")
def test_the_application_runs_the_digest_that_was_built(deployed):
    assert application(STREAM)["spec"]["image"] == deployed.xcom("image.build_image")


def test_driver_and_executor_meet_pod_security_restricted(deployed):
    level = json.loads(kubectl("get", "namespace", NAMESPACE, "-o", "json"))["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"
    found = pods(STREAM)
    assert {pod["metadata"]["labels"]["spark-role"] for pod in found} == {"driver", "executor"}
    assert [breach for pod in found for breach in breaches_of_restricted(pod)] == []
    assert drivers(STREAM)[0]["status"]["phase"] == "Running"


def test_no_secret_reaches_application_log_or_xcom(deployed, environment):
    seen = {
        "application": json.dumps(application(STREAM)),
        "log": "".join(map(deployed.log, deployed.tasks)),
        "xcom": str([deployed.xcom(task) for task in deployed.tasks]),
    }
    for where, text in seen.items():
        assert STREAM in text, f"there is no {where} to look through"
        assert environment["AWS_SECRET_ACCESS_KEY"] not in text, where


@pytest.mark.shows("docs/from-the-command-line.md#submit")
def test_a_second_run_adopts_the_one_driver(fink, deployed, sleeper):
    before = application(STREAM)["metadata"]["uid"], drivers(STREAM)[0]["metadata"]["uid"]
    run = fink.run(DEPLOY, night=NIGHT, topic=TOPIC)
    assert run.state == "success"
    assert run.xcom("submit.submit_application")["way"] == "adopted"
    assert run.xcom("rbac.grant_rights") == []
    assert "built and pushed nothing" in run.log("image.build_image")
    assert (application(STREAM)["metadata"]["uid"], drivers(STREAM)[0]["metadata"]["uid"]) == before
    assert len(drivers(STREAM)) == 1


def test_another_spec_for_a_running_night_is_refused(fink, deployed):
    uid = application(STREAM)["metadata"]["uid"]
    run = fink.run(
        DEPLOY, night=NIGHT, topic=TOPIC, trigger_interval_s=20, skip=["preflight", "rbac"]
    )
    assert run.state == "failed"
    assert "another spec (argument -tinterval)" in run.log("submit.submit_application")
    assert application(STREAM)["metadata"]["uid"] == uid


def test_a_tag_that_is_not_in_the_registry_is_refused_early(fink, deployed):
    run = fink.run(DEPLOY, night="20260102", skip=["preflight", "rbac", "image"], image_tag="no_1")
    assert run.states()["submit.render_application"] == "failed"
    assert lines_with(run.log("submit.render_application"), ":no_1 is not in", "image_tag")
    assert "20260102" not in kubectl("get", "sparkapplications")


@pytest.mark.shows("docs/from-the-command-line.md#look")
def test_a_run_that_fails_is_diagnosed_and_stays_red(fink, deployed):
    run = fink.run(
        DEPLOY,
        night="20260103",
        skip=["preflight", "rbac", "image"],
        image_tag=f"sha256:{'0' * 64}",
    )
    # The diagnosis succeeds, and the run is red all the same.
    assert (run.state, run.states()["diagnose_failure"]) == ("failed", "success")
    result = run.xcom("diagnose_failure")
    assert result["category"] == Category.IMAGE_PULL
    assert_told(run.log("diagnose_failure"), result)


@pytest.mark.shows("docs/from-the-command-line.md#look")
def test_a_stream_that_is_well_is_looked_at_and_left_in_peace(fink, deployed):
    before = uids_of(pods(STREAM))
    run = fink.run("fink_diagnose", night=NIGHT)
    assert run.state == "success"
    [result] = run.xcom("diagnose_streams")
    assert result["line"] == f"{STREAM}: no problem found"
    files = assert_told(run.log("diagnose_streams"), result)
    assert json.loads(files["pods.json"])
    assert f"logs/{STREAM}-driver.log" in files
    everything = fink.run("fink_diagnose").xcom("diagnose_streams")
    assert STREAM not in [one["stream"] for one in everything]
    assert uids_of(pods(STREAM)) == before


def test_a_missing_right_is_named_within_a_minute(fink, deployed, ended):
    ended.append("stream2raw-ztf-20260104")
    kubectl("delete", "rolebinding", "fink-driver")
    try:
        run = fink.run(DEPLOY, night="20260104", skip=["preflight", "rbac", "first_batch"])
    finally:
        assert fink.run("fink_rbac").state == "success"
    assert run.state == "failed"
    log = run.log(run.failed())
    assert "[right-missing]" in log
    assert "forbidden" in log
    assert seconds_to_first_cause(log) < 60


def test_a_driver_that_cannot_start_is_named_within_a_minute(fink, deployed, ended):
    ended.append("stream2raw-ztf-20260105")
    run = fink.run(
        DEPLOY,
        night="20260105",
        driver_memory="100m",
        skip=["preflight", "rbac", "image", "first_batch"],
    )
    assert run.state == "failed"
    log = run.log(run.failed())
    assert lines_with(log, "[driver-failed]", "memory")
    assert seconds_to_first_cause(log) < 60


@pytest.mark.shows("docs/from-the-command-line.md#cluster")
def test_preflight_names_every_remedy_at_once(fink, deployed):
    run = fink.run(DEPLOY, night="20260106", topic="no_such_topic", driver_memory="900g")
    assert run.states()["check_prerequisites"] == "failed"
    assert run.states()["rbac.grant_rights"] == "upstream_failed"
    # The task fails with one line, which has each error and what to do about it.
    errors = ("topic no_such_topic does not exist on", "GiB in 2 pods")
    remedies = ("create the topic", "fewer executors")
    assert lines_with(run.log("check_prerequisites"), *errors, *remedies)


def test_a_night_that_is_no_date_is_refused_before_anything_is_made(fink):
    run = fink.run(DEPLOY, night="20260230")
    assert run.states()["check_prerequisites"] == "failed"
    assert lines_with(run.log("check_prerequisites"), "night '20260230' is no", " date")
    assert run.states()["rbac.grant_rights"] == "upstream_failed"
    assert "20260230" not in kubectl("get", "sparkapplications")


def test_the_form_refuses_nonsense(fink):
    from testbed.airflow import RefusedFormError

    fink.client.wait_for_dag(DEPLOY)
    runs = fink.client.runs(DEPLOY)
    for form in ({"night": "2026-01-01"}, {"topic": ".*"}, {"executors": 0}, {"survey": "x"}):
        with pytest.raises(RefusedFormError, match=next(iter(form))):
            fink.client.trigger(DEPLOY, form)
    assert fink.client.runs(DEPLOY) == runs


def test_a_dead_query_under_a_running_driver_is_unhealthy(fink, deployed, sleeper):
    wait_for_age(SLEEPER, 125)
    state = application(SLEEPER)["status"]["applicationState"]["state"]
    assert (state, drivers(SLEEPER)[0]["status"]["phase"]) == ("RUNNING", "Running")
    assert "the query has ended" in kubectl("logs", f"{SLEEPER}-driver")
    run = fink.run(
        DEPLOY,
        night=sleeper.night,
        topic=sleeper.topic,
        image_tag=deployed.xcom("image.build_image").partition("@")[2],
        skip=["preflight", "rbac", "image", "first_batch"],
    )
    assert run.xcom("submit.submit_application")["way"] == "adopted"
    assert run.states()["wait_until_healthy"] == "failed"
    assert "[query-dead]" in run.log("wait_until_healthy")


@pytest.mark.shows("docs/from-the-command-line.md#spark-ui")
def test_the_spark_ui_opens_behind_airflow_s_login(fink, deployed):
    submit = (DEPLOY, deployed.run_id, "submit.submit_application")
    link = fink.client.links(*submit)["Spark UI"]
    page = fink.client.page(link)
    assert page.status_code == 200
    assert "Spark Jobs" in page.text
    assert f'href="{link}static/' in page.text or f'href="{link}stages/' in page.text
    assert "/api/v1/namespaces" not in page.text
    style = next(part for part in page.text.split('"') if part.endswith(".css"))
    assert fink.client.page(style).headers["content-type"].startswith("text/css")
    assert httpx.get(f"{fink.client.url}{link}").status_code == 401
    for other in ("stream2raw-ztf-20260108", "spark-operator-controller", "..%2f..%2fsecrets"):
        answer = fink.client.page(link.replace(STREAM, other))
        assert answer.status_code in (404, 502), answer.text
        assert "Spark Jobs" not in answer.text
    namespaces = "%2e%2e/" * 4
    for outside in (
        f"{namespaces}{NAMESPACE}/events",
        f"{namespaces}spark-operator/pods",
        f"{namespaces}{NAMESPACE}/pods/{STREAM}-driver/log",
    ):
        answer = fink.client.page(f"{link}{outside}")
        assert (answer.status_code, "not a page of the Spark UI" in answer.text) == (404, True)


@pytest.mark.shows("docs/from-the-command-line.md#spark-ui")
def test_prometheus_finds_the_driver_and_reads_the_query_s_gauges(deployed):
    metadata = drivers(STREAM)[0]["metadata"]
    port, path = (metadata["annotations"][f"prometheus.io/{key}"] for key in ("port", "path"))
    assert metadata["annotations"]["prometheus.io/scrape"] == "true"
    proxy = f"/api/v1/namespaces/{NAMESPACE}/pods/{metadata['name']}:{port}/proxy"
    driver, executors = (
        kubectl("get", "--raw", f"{proxy}{page}").splitlines() for page in (path, EXECUTORS_PATH)
    )
    for lines in (driver, executors):
        series = [line for line in lines if line and not line.startswith("#")]
        assert [line for line in series if SAMPLE.fullmatch(line) is None] == []
        names = [line.rpartition(" ")[0] for line in series]
        assert len(names) == len(set(names))
    gauge = "metrics_stream2raw_driver_spark_streaming_[a-z0-9_]+_inputRate_total_Value{.*"
    assert [line for line in driver if re.fullmatch(gauge, line)]
    assert [line for line in executors if line.startswith("metrics_executor_totalTasks")]


def test_a_live_query_on_a_quiet_topic_is_healthy(deployed, kubernetes):
    assert assess(observe(Cluster(kubernetes), NAMESPACE, STREAM)).verdict is HealthVerdict.HEALTHY


@pytest.mark.shows("docs/from-the-command-line.md#rights", "docs/from-the-command-line.md#archive")
@pytest.mark.parametrize("dag_id", ["fink_rbac", "fink_image"])
def test_a_stage_alone_twice_changes_nothing(fink, deployed, dag_id):
    first, second = fink.run(dag_id), fink.run(dag_id)
    assert (first.state, second.state) == ("success", "success")
    if dag_id == "fink_rbac":
        assert "unchanged" in second.log("rbac.grant_rights")
        assert second.xcom("rbac.grant_rights") == []
        assert lines_with(second.log("rbac.check_rights"), "the API server confirms: ")
    else:
        assert lines_with(second.log("image.fetch_spark"), "unchanged: Spark ")
        assert "unchanged" in second.log("image.build_image")
        assert second.xcom("image.build_image") == first.xcom("image.build_image")


def assert_told(log, result):
    """Check that line and bundle are named, and no key of the store is; return the bundle."""
    assert result["line"] in log
    assert f"bundle: {result['address']}" in log
    files = read_folder(result["address"])
    assert result["line"] in files["report.md"]
    for text in (log, *files.values()):
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in text
    return files


def read_folder(address):
    """Return the texts of a folder of the store, by name."""
    files = fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=load_settings().store_endpoint,
    )
    folder = address.removeprefix("s3a://")
    return {
        info.path.removeprefix(f"{folder}/"): files.open_input_file(info.path).read().decode()
        for info in files.get_file_info(fs.FileSelector(folder, recursive=True))
        if info.is_file
    }


def wait_for_age(stream: str, seconds: float) -> None:
    while True:
        pods = drivers(stream)
        state = (pods[0]["status"].get("containerStatuses") or [{}])[0].get("state") if pods else {}
        if started := ((state or {}).get("running") or {}).get("startedAt"):
            age = time.time() - datetime.fromisoformat(started).timestamp()
            if age > seconds:
                return
        time.sleep(1)

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from fink_k8s.core.base.names import labels_of
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.stream.stream_request import DeployRequest
from fink_k8s.glue.base import task_failures
from fink_k8s.glue.base.task_failures import failure_of, failures_of
from fink_k8s.glue.diagnosis import diagnose_stage as stage
from tests.fakes import FakeCluster, driver_pod

STREAM, OTHER = "stream2raw-ztf-20250101", "stream2raw-lsst-20250102"


def application(name, state):
    _, survey, night = name.split("-")
    return {
        "kind": "SparkApplication",
        "metadata": {"name": name, "namespace": "spark", "labels": labels_of(survey, night)},
        "spec": {"arguments": ["-topic", "alerts", "-servers", "kafka:9092"]},
        "status": {"applicationState": {"state": state}},
    }


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    cluster = FakeCluster()
    monkeypatch.setattr(stage, "cluster", lambda: cluster)
    monkeypatch.setattr(stage, "store_secrets", list)
    monkeypatch.setenv("FINK_DIAGNOSIS_DIR", str(tmp_path))
    return cluster


def run(task, *arguments):
    """Run the function of a task."""
    return task.function.__wrapped__(*arguments)


@pytest.fixture
def form(monkeypatch):
    def fill(**values):
        monkeypatch.setattr(stage, "request_of", lambda model: model(**values))

    fill()
    return fill


def test_the_stream_of_the_form_is_diagnosed_and_its_bundle_kept(cluster, form, tmp_path, capsys):
    cluster.put(application(STREAM, "SUBMISSION_FAILED"))
    form(stream=STREAM)
    [result] = run(stage.diagnose_streams)
    assert (result["stream"], result["category"]) == (STREAM, Category.SUBMISSION_FAILED)
    assert result["address"].startswith(str(tmp_path))
    assert (tmp_path / result["address"] / "report.md").read_text() in capsys.readouterr().out
    form(night="20250101")
    assert run(stage.diagnose_streams)[0]["stream"] == STREAM


def test_without_a_form_all_that_are_not_well_are_diagnosed(cluster, form):
    cluster.put(application(STREAM, "FAILED"))
    cluster.put(application(OTHER, "COMPLETED"))
    cluster.put({**application(STREAM, "FAILED"), "metadata": {
        "name": "of-other-people", "namespace": "spark"}})  # fmt: skip
    # A stream that spark-submit started has a driver and no application.
    cluster.all_pods = [driver_pod("stream2raw-ztf-20250103", "Failed")]
    results = run(stage.diagnose_streams)
    assert [one["stream"] for one in results] == [STREAM, "stream2raw-ztf-20250103"]
    assert {one["category"] for one in results} == {Category.DRIVER_FAILED}


def test_where_nothing_runs_nothing_is_wrong(cluster, form, capsys):
    assert run(stage.diagnose_streams) == []
    assert "no problem found" in capsys.readouterr().out


def test_a_bundle_that_cannot_be_kept_fails_nothing(cluster, form, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FINK_DIAGNOSIS_DIR", str(tmp_path / "file"))
    cluster.put(application(STREAM, "FAILED"))
    [result] = run(stage.diagnose_streams)
    assert result["address"] == ""
    assert "FINK_DIAGNOSIS_DIR" in caplog.text
    # Kafka and the store are not configured here: said, and no failure.
    assert "could not read" in caplog.text


WORDS = '{"stream2raw": "refused", "reason": "-no_such_flag is refused"}'


def test_between_two_drivers_the_next_one_is_waited_for(cluster, form, monkeypatch):
    cluster.put(application(STREAM, "PENDING_RERUN"))
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        state, phase = [("SUBMITTED", "Pending"), ("FAILING", "Failed")][len(slept) - 1]
        cluster.put(application(STREAM, state))
        cluster.all_pods = [driver_pod(STREAM, phase)]
        ended = {"terminated": {"reason": "Error", "exitCode": 2}}
        cluster.all_pods[0]["status"]["containerStatuses"] = [{"state": ended}]
        cluster.log = WORDS

    monkeypatch.setattr(stage.time, "sleep", sleep)
    form(stream=STREAM)
    [result] = run(stage.diagnose_streams)
    assert len(slept) == 2
    assert "-no_such_flag is refused" in result["line"]


def test_a_next_driver_that_does_not_come_is_not_waited_for_long(cluster, form, monkeypatch):
    cluster.put(application(STREAM, "PENDING_RERUN"))
    clock = iter(range(0, 1000, 20))
    fake = SimpleNamespace(sleep=lambda seconds: None, monotonic=lambda: next(clock))
    monkeypatch.setattr(stage, "time", fake)
    form(stream=STREAM)
    assert run(stage.diagnose_streams)[0]["category"] == Category.DRIVER_FAILED
    assert next(clock) < 120


@pytest.mark.parametrize("values", [{}, {"stream": STREAM}])
def test_without_a_connection_it_says_so_and_does_not_fail(form, monkeypatch, caplog, values):
    def missing():
        raise AirflowFailException("no connection kubernetes_default")

    monkeypatch.setattr(stage, "cluster", missing)
    form(**values)
    [result] = run(stage.diagnose_streams)
    assert "could not be checked: no connection kubernetes_default" in result["line"]
    assert "no connection kubernetes_default" in caplog.text


def test_of_many_streams_none_is_waited_for(cluster, form, monkeypatch):
    cluster.put(application(STREAM, "PENDING_RERUN"))
    slept = []
    monkeypatch.setattr(stage.time, "sleep", slept.append)
    assert run(stage.diagnose_streams)[0]["category"] == Category.DRIVER_FAILED
    assert slept == []


class Instance:
    """A task instance, as far as failures are passed on."""

    dag_id = "fink_deploy"

    def __init__(self, **states):
        self.states = states
        self.kept = {}

    def get_task_states(self, dag_id, run_ids):
        return {run_ids[0]: self.states}

    def xcom_push(self, key, value):
        self.kept[key] = value

    def xcom_pull(self, task_ids, key):
        return self.kept.get(key) if task_ids == "submit" else None


def test_what_a_task_said_when_it_failed_reaches_the_diagnosis(monkeypatch):
    instance = Instance(rbac="success", submit="failed", image="failed", healthy="upstream_failed")
    context = {"ti": instance, "run_id": "manual"}
    monkeypatch.setattr(task_failures, "get_current_context", lambda: context)
    assert isinstance(failure_of("[quota] full", retryable=False), AirflowFailException)
    assert failures_of(context) == {"submit": "[quota] full", "image": ""}


def test_a_failure_is_told_though_it_cannot_be_passed_on(monkeypatch):
    def broken():
        raise RuntimeError("the API is away")

    monkeypatch.setattr(task_failures, "get_current_context", broken)
    assert str(failure_of("the cause", retryable=False)) == "the cause"


@pytest.fixture
def failed(monkeypatch):
    said = {"submit.submit_application": "[webhook-away] it is: away. Bring it back"}
    monkeypatch.setattr(stage, "get_current_context", dict)
    monkeypatch.setattr(stage, "failures_of", lambda context: said)
    return said


def test_a_failed_run_is_diagnosed_by_what_it_said(cluster, failed, monkeypatch):
    request = SimpleNamespace(stream=STREAM)
    monkeypatch.setattr(stage, "stream_request", lambda model: request)
    result = run(stage.diagnose_failure, DeployRequest)
    assert result["category"] == Category.WEBHOOK_AWAY
    assert "Bring it back" in result["line"]


def test_of_a_night_that_fails_people_are_told(cluster, failed, monkeypatch):
    told = []
    monkeypatch.setattr(stage, "notify", told.append)
    monkeypatch.setattr(stage, "stream_request", lambda model: SimpleNamespace(stream=STREAM))
    context = {"dag": SimpleNamespace(dag_id="fink_night")}
    monkeypatch.setattr(stage, "get_current_context", lambda: context)
    run(stage.diagnose_failure, DeployRequest)
    assert told == []
    result = run(stage.diagnose_failure, DeployRequest, True)
    [message] = told
    assert message.title == "Fink: fink_night failed"
    assert message.body.startswith(result["line"])
    assert result["address"] in message.body


def test_a_run_that_asked_for_no_stream_says_so(cluster, failed, monkeypatch):
    def refuse(model):
        raise AirflowFailException("night: is no date")

    monkeypatch.setattr(stage, "stream_request", refuse)
    assert run(stage.diagnose_failure, DeployRequest)["line"] == failed["submit.submit_application"]

"""The task runs a real process: a stand-in for spark-submit that records what it is given."""

import json
import logging

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.manifests import hash_of, make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.glue.stream import spark_submit, stream_trigger, submission, submit_operators
from fink_k8s.glue.stream.spark_submit import SparkSubmitStreamOperator
from tests.fakes import FakeCluster, driver_pod

SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
REQUEST = StreamRequest(night="20250101", topic="t")
MANIFEST = make_spark_application(REQUEST, SETTINGS, "image@sha256:0", "3.5.7")
STREAM = MANIFEST["metadata"]["name"]
# It says what spark-submit says, and writes down its arguments, environment and credentials.
STAND_IN = """#!/bin/bash
here=$(dirname "$0")
printf '%s\\n' "$@" > "$here/arguments"
tr '\\0' ' ' < /proc/$$/cmdline > "$here/cmdline"
env > "$here/environment"
cp "$KUBECONFIG" "$here/kubeconfig"
{said}
exit {code}
"""
STACK = """cat <<'SAID'
26/11/25 01:13:31 INFO KerberosConfDriverFeatureStep: no krb5.conf
Exception in thread "main" io.fabric8.KubernetesClientException: Failure. Message: {message}
\tat io.fabric8.kubernetes.client.Handler.handle(Handler.java:1)
\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)
SAID"""


class Cluster(FakeCluster):
    """Its driver pod appears when the stand-in has run."""

    started = None

    def find(self, kind, name, namespace=""):
        if kind == "Pod" and self.started and self.started.exists() and not self.all_pods:
            pod = driver_pod(STREAM, "Pending", by_operator=False)
            pod["metadata"]["annotations"] = {"fink.spec-hash": hash_of(MANIFEST)}
            self.all_pods.append(pod)
        return super().find(kind, name, namespace)


@pytest.fixture
def cluster(monkeypatch):
    fake = Cluster()
    for module in (submit_operators, spark_submit, stream_trigger):
        monkeypatch.setattr(module, "cluster", lambda conn_id: fake, raising=False)
    return fake


@pytest.fixture
def stand_in(tmp_path, cluster, monkeypatch):
    """Return a function that puts a spark-submit in place; the folder it writes into."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(code=0, said="", starts=True):
        program = folder / "spark-submit"
        program.write_text(STAND_IN.format(code=code, said=said))
        program.chmod(0o755)
        cluster.started = folder / "arguments" if starts else None
        return folder

    monkeypatch.setattr(submission, "ensure_distribution", lambda *_, **__: tmp_path)
    return put


@pytest.fixture
def operator():
    return SparkSubmitStreamOperator(task_id="spark_submit", manifest=MANIFEST)


def test_a_new_stream_is_submitted_and_waited_for_in_the_triggerer(cluster, stand_in, operator):
    folder = stand_in()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({})
    assert deferred.value.kwargs == {"way": "created"}
    assert deferred.value.trigger.stream == STREAM
    words = (folder / "arguments").read_text().splitlines()
    assert words[:2] == ["--master", "k8s://https://k8s:6443"]
    assert words[words.index("--deploy-mode") + 1] == "cluster"
    assert words[words.index("--name") + 1] == STREAM
    assert f"spark.kubernetes.driver.pod.name={STREAM}-driver" in words
    assert "spark.kubernetes.submission.waitAppCompletion=false" in words
    spec = MANIFEST["spec"]
    assert words[-len(spec["arguments"]) - 1 :] == [spec["mainApplicationFile"], *spec["arguments"]]


def test_the_credential_reaches_it_by_a_file_and_by_nothing_else(
    cluster, stand_in, operator, caplog, capsys, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_CONN_FINK_STORE", cluster.token)
    folder = stand_in()
    with caplog.at_level(logging.DEBUG), pytest.raises(TaskDeferred) as deferred:
        operator.execute({})
    kubeconfig = json.loads((folder / "kubeconfig").read_text())
    assert kubeconfig["users"][0]["user"]["token"] == cluster.token
    for file in ("arguments", "cmdline", "environment"):
        text = (folder / file).read_text()
        assert text
        assert cluster.token not in text
    shown = caplog.text + str(capsys.readouterr()) + str(deferred.value.kwargs)
    assert "spark.kubernetes.driver.pod.name" in shown
    assert cluster.token not in shown


def test_what_runs_is_adopted_without_a_submission(cluster, stand_in, operator):
    folder = stand_in()
    (folder / "arguments").touch()
    cluster.find("Pod", f"{STREAM}-driver", "spark")
    (folder / "arguments").unlink()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({})
    assert deferred.value.kwargs == {"way": "adopted"}
    assert not (folder / "arguments").exists()


def test_a_failed_submission_is_one_line_and_no_stack(stand_in, operator, capsys):
    message = 'pods is forbidden: User "airflow" cannot create resource "pods" in API group ""'
    stand_in(code=1, said=STACK.format(message=message), starts=False)
    with pytest.raises(AirflowFailException) as failed:
        operator.execute({})
    assert "\n" not in str(failed.value)
    assert str(failed.value).startswith("[right-missing] Airflow's account lacks a right")
    assert "include/kubernetes/airflow-spark-submit.yaml" in str(failed.value)
    log = capsys.readouterr().out
    assert "KerberosConf" in log
    assert "Handler.java" not in log


def test_who_is_slower_adopts_what_the_faster_one_started(stand_in, operator):
    stand_in(code=1, said=STACK.format(message=f'pods "{STREAM}-driver" already exists.'))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({})
    assert deferred.value.kwargs == {"way": "adopted"}


def test_a_success_without_driver_is_no_success(stand_in, operator):
    stand_in(starts=False)
    with pytest.raises(AirflowException, match="its driver does not exist") as failed:
        operator.execute({})
    assert not isinstance(failed.value, AirflowFailException)


def test_a_stream_of_the_operator_is_left_alone(cluster, stand_in, operator):
    folder = stand_in(starts=False)
    cluster.put(MANIFEST)
    with pytest.raises(AirflowFailException, match="set submit_with to spark-operator"):
        operator.execute({})
    assert not (folder / "arguments").exists()


def test_what_cannot_be_said_is_refused_before_anything_is_asked(stand_in):
    folder = stand_in()
    manifest = {**MANIFEST, "spec": {**MANIFEST["spec"], "monitoring": {}}}
    with pytest.raises(
        AirflowFailException, match="monitoring cannot be expressed for spark-submit"
    ):
        SparkSubmitStreamOperator(task_id="spark_submit", manifest=manifest).execute({})
    assert not (folder / "arguments").exists()


def test_a_kill_of_the_task_leaves_the_stream(cluster, operator):
    cluster.all_pods = [driver_pod(STREAM, "Running", by_operator=False)]
    operator.on_kill()
    assert len(cluster.all_pods) == 1

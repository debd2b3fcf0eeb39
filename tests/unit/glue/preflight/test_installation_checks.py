"""The doctor: each thing that is missing is a line with its remedy, and hides nothing else."""

import json
import subprocess
import sys

import pytest

from docs.generate import ROOT
from fink_k8s.core.base.errors import NotPermitted, OutOfSight, Unavailable
from fink_k8s.core.preflight.prerequisites import Finding, FindingLevel
from fink_k8s.glue.base import connections
from fink_k8s.glue.preflight import installation_checks
from fink_k8s.glue.preflight.installation_checks import Check, all_checks, run_checks
from tests.fakes import FakeCluster

SETTINGS = {
    "FINK_KAFKA_SERVERS": "kafka:9092",
    "FINK_STORE_PREFIX": "s3a://fink",
    "FINK_IMAGE_REPOSITORY": "localhost:5000/fink/stream2raw",
    "FINK_IMAGE_BASE": "localhost:5000/fink/base:1",
    "FINK_SPARK_URL": "file:///spark.tgz",
}


class World:
    """Every system outside, all well until a test changes it."""

    def __init__(self):
        self.cluster = FakeCluster()
        for component in ("controller", "webhook"):
            metadata = {
                "namespace": "spark-operator",
                "labels": {"app.kubernetes.io/component": component},
            }
            status = {"availableReplicas": 1}
            self.cluster.all_deployments.append({"metadata": metadata, "status": status})
        self.statuses = {"scheduler": "healthy", "triggerer": "healthy"}
        self.errors = {}

    def ask(self, what, answer):
        def asked(*_):
            if error := self.errors.get(what):
                raise error
            return answer

        return asked


@pytest.fixture
def world(monkeypatch):
    made = World()
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    for name in ("DOCKER_HOST", "AIRFLOW_CONN_FINK_NOTIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(installation_checks.heartbeat, "statuses", lambda: made.statuses)
    monkeypatch.setattr(connections, "cluster", made.ask("cluster", made.cluster))
    store = type("Store", (), {"check": made.ask("store", None)})
    monkeypatch.setattr(connections, "store", lambda _: store())
    docker = type("Docker", (), {"version": made.ask("docker", {"Version": "28"})})
    monkeypatch.setattr(connections, "docker_client", docker)
    monkeypatch.setattr(installation_checks, "check_brokers", made.ask("kafka", 3))
    for name in ("registry", "image", "archive", "program"):
        monkeypatch.setattr(
            installation_checks.installation, f"check_{name}", made.ask(name, f"{name} is well")
        )
    # Slow, and asked for below; plugins once a process, so tests/integration has the real ones.
    monkeypatch.setattr(installation_checks, "_dags", lambda: "fink_deploy")
    monkeypatch.setattr(installation_checks, "_plugin", lambda: "fink is loaded")
    return made


def run(checks=None):
    lines = []
    code = run_checks(checks, say=lines.append)
    return code, lines


def missing(lines):
    return [line for line in lines if line.startswith("missing")]


def test_where_all_is_well_nothing_is_missing(world):
    code, lines = run()
    assert (code, missing(lines)) == (0, [])
    assert lines[-1] == "nothing is missing"
    # Two components, two of the operator, and the remedy for a missing connection for messages.
    assert len(lines) == len(all_checks()) + 1 + 1 + 2 + 1


@pytest.mark.parametrize(
    ("system", "check", "remedy"),
    [
        ("cluster", "kubernetes_default", "KUBECONFIG_STREAMS"),
        ("cluster", "kubernetes_admin", "KUBECONFIG_ADMIN"),
        ("store", "fink_store", "AIRFLOW_CONN_FINK_STORE"),
        ("kafka", "Kafka", "FINK_KAFKA_SERVERS"),
        ("registry", "registry", "FINK_IMAGE_REPOSITORY"),
        ("image", "image base", "FINK_IMAGE_BASE"),
        ("archive", "Spark archive", "FINK_SPARK_URL"),
        ("docker", "docker_default", "DOCKER_SOCKET"),
        ("program", "Java", "JRE"),
        ("program", "Maven", "Maven"),
    ],
)
@pytest.mark.parametrize("error", [Unavailable("it is away"), OSError("it is away")])
def test_what_is_away_is_named_with_its_remedy(world, system, check, remedy, error):
    world.errors[system] = error
    code, lines = run()
    assert code == 1
    (at,) = [i for i, line in enumerate(lines) if line.startswith(f"missing  {check}:")]
    assert "it is away" in lines[at]
    assert remedy in lines[at + 1]
    assert lines[at + 1].strip().startswith("fix it:")


@pytest.mark.parametrize("variable", SETTINGS)
def test_a_variable_that_is_not_set_is_named(world, monkeypatch, variable):
    if variable == "FINK_STORE_PREFIX":
        monkeypatch.undo()  # the real `store` asks for it
        monkeypatch.delenv(variable, raising=False)
        code, lines = run([check for check in all_checks() if check.name == "fink_store"])
    else:
        monkeypatch.delenv(variable)
        code, lines = run()
    assert code == 1
    assert f"{variable} is not set" in missing(lines)[0]


def test_a_variable_that_breaks_its_rule_is_named(world, monkeypatch):
    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka")
    _, lines = run()
    assert "settings: FINK_KAFKA_SERVERS has an entry that is not host:port" in missing(lines)[0]


def test_a_component_that_is_not_healthy_is_named(world):
    world.statuses["triggerer"] = "unhealthy"
    code, lines = run()
    assert code == 1
    assert missing(lines) == ["missing  components: triggerer is unhealthy"]


def test_a_missing_right_is_told_in_the_cluster_s_words(world):
    world.errors["cluster"] = NotPermitted("GET /version is forbidden")
    _, lines = run()
    assert "GET /version is forbidden" in missing(lines)[0]


def test_an_operator_that_is_away_is_named(world):
    del world.cluster.all_deployments[1]
    code, lines = run()
    assert code == 1
    assert "the Spark Operator's webhook" in missing(lines)[0]


def test_a_docker_engine_that_was_not_asked_for_is_no_error(world, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///dev/null")
    world.errors["docker"] = AssertionError("nobody is to be asked")
    code, lines = run()
    assert code == 0
    (at,) = [i for i, line in enumerate(lines) if line.startswith("warning  docker_default")]
    assert "skip the stage image" in lines[at + 1]


def test_the_dags_of_this_project_are_listed(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))
    code, lines = run([check for check in all_checks() if check.name == "DAGs"])
    assert code == 0
    assert "fink_deploy" in lines[0]


def test_a_dag_file_that_cannot_be_imported_is_named(monkeypatch, tmp_path):
    (tmp_path / "fink_broken.py").write_text("from airflow.sdk import dag\nimport no_such_module\n")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    _, lines = run([check for check in all_checks() if check.name == "DAGs"])
    assert "fink_broken.py: ModuleNotFoundError: No module named 'no_such_module'" in lines[0]


def test_a_folder_without_dags_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    code, lines = run([check for check in all_checks() if check.name == "DAGs"])
    assert code == 1
    assert f"none in {tmp_path}" in lines[0]


def test_every_check_has_a_remedy():
    assert all(check.remedy for check in all_checks())


def test_a_finding_s_own_remedy_comes_before_the_check_s():
    finding = Finding(FindingLevel.ERROR, "it is broken", "glue it")
    _, lines = run([Check("vase", lambda: [finding], "buy one")])
    assert lines == ["missing  vase: it is broken", "         fix it: glue it", "1 missing"]


def test_a_library_that_cannot_be_imported_is_named():
    file = ROOT / "include/fink_k8s/doctor.py"
    done = subprocess.run(
        [sys.executable, file], env={"PATH": "/usr/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "No module named 'fink_k8s'" in done.stdout
    assert "put include/ on PYTHONPATH" in done.stdout


def test_a_connection_that_is_not_defined_is_named(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_FINK_STORE", raising=False)
    monkeypatch.setenv("FINK_STORE_PREFIX", "s3a://fink")
    code, lines = run([check for check in all_checks() if check.name == "fink_store"])
    assert code == 1
    assert "fink_store" in lines[0].partition(":")[2]


def test_a_kubeconfig_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    extra = {"kube_config_path": str(tmp_path / "none")}
    conn = json.dumps({"conn_type": "kubernetes", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", conn)
    code, lines = run([check for check in all_checks() if check.name == "kubernetes_default"])
    assert code == 1
    assert "KUBECONFIG_STREAMS" in lines[1]


def test_a_store_that_is_out_of_sight_is_a_warning_and_not_missing(world):
    world.errors["store"] = OutOfSight("FINK_STORE_MOUNT is not set")
    code, lines = run()
    assert (code, missing(lines)) == (0, [])
    assert [line for line in lines if "FINK_STORE_MOUNT is not set" in line]


def test_where_nobody_is_told_that_is_a_warning(world):
    code, lines = run()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("warning  fink_notify")]
    assert "nobody is told" in lines[at]
    assert "AIRFLOW_CONN_FINK_NOTIFY" in lines[at + 1]
    assert code == 0


def test_whom_it_tells_is_named_without_their_secrets(world, monkeypatch):
    connection = {"conn_type": "generic", "password": "json://u:c4n4ry@h/ mailto://u:c4n4ry@x.org"}
    monkeypatch.setenv("AIRFLOW_CONN_FINK_NOTIFY", json.dumps(connection))
    code, lines = run()
    assert "ok       fink_notify: target 1 (json), target 2 (mailto)" in lines
    assert (code, "c4n4ry" in "".join(lines)) == (0, False)


def test_an_address_that_is_none_is_missing_and_not_quoted(world, monkeypatch):
    connection = {"conn_type": "generic", "password": "slack://c4n4ry"}
    monkeypatch.setenv("AIRFLOW_CONN_FINK_NOTIFY", json.dumps(connection))
    code, lines = run()
    (line,) = missing(lines)
    assert "target 1 (slack) is no address that Apprise knows" in line
    assert (code, "c4n4ry" in "".join(lines)) == (1, False)

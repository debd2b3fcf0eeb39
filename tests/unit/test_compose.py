"""docker-compose.yaml keeps its promises; what only a Docker engine shows is in tests/long."""

import importlib
import re

import pytest
import yaml

from docs.generate import ROOT
from fink_k8s.core.config.settings import ENV_PREFIX, Settings
from fink_k8s.glue.base import connections
from fink_k8s.heartbeat import COMPONENTS

TEXT = (ROOT / "docker-compose.yaml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
AIRFLOW = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
RUNS_TASKS = ("scheduler", "worker")
LIVES = [name for name in SERVICES if name != "init"]
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|TOKEN")
# Names of Kubernetes Secrets, no secrets themselves.
NAMES_A_SECRET = {"FINK_IMAGE_PULL_SECRET", "FINK_STORE_SECRET"}


def environment(service):
    return SERVICES[service].get("environment") or {}


def test_every_component_of_airflow_3_has_its_service():
    assert set(SERVICES) == {*AIRFLOW, "postgres", "redis"}


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_s_services_are_one_image_built_here(name):
    assert SERVICES[name]["image"] == SERVICES["init"]["image"]
    assert SERVICES[name]["build"] == SERVICES["init"]["build"]
    assert environment(name)["PYTHONPATH"] == "/opt/airflow/include"


@pytest.mark.parametrize("name", LIVES)
def test_every_service_is_watched_and_comes_back(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", LIVES)
def test_a_heartbeat_is_asked_of_a_component_that_there_is(name):
    test = SERVICES[name]["healthcheck"]["test"]
    if "fink_k8s.heartbeat" in test:
        assert test[-1] in COMPONENTS


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_runs_as_root_or_may_become_it(name):
    assert SERVICES[name]["user"].partition(":")[0] not in ("", "0", "root")
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert not SERVICES[name].get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_comes_from_the_environment_without_default(name):
    for key, value in environment(name).items():
        if SECRET.search(key) and key not in NAMES_A_SECRET:
            assert re.fullmatch(r"\$\{\w+(:\?[^}]+)?\}", value), key


def test_each_variable_without_default_says_what_to_do():
    required = dict(re.findall(r"\$\{(\w+):\?([^}]+)\}", TEXT))
    assert {"POSTGRES_PASSWORD", "AIRFLOW_ADMIN_PASSWORD", "KUBECONFIG_STREAMS"} <= set(required)
    assert all("set it in .env" in sentence for sentence in required.values())
    for name in required:
        assert re.search(rf"^{name}=", EXAMPLE, re.M), name


def test_the_example_names_no_variable_that_nothing_reads():
    known = set(re.findall(r"\$\{(\w+)", TEXT)) | {"COMPOSE_PROFILES", "COMPOSE_FILE"}
    assert set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.M)) <= known


def test_the_example_has_no_secret_in_it():
    for name, value in re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.M):
        if SECRET.search(name) and name not in NAMES_A_SECRET:
            assert value == "", name


@pytest.mark.parametrize("name", ["api-server", "triggerer", *RUNS_TASKS])
def test_what_looks_at_streams_has_every_setting_and_its_account(name):
    for field in Settings.model_fields:
        assert f"{ENV_PREFIX}{field.upper()}" in environment(name), field
    assert "kubeconfig" in SERVICES[name]["secrets"]
    assert f"AIRFLOW_CONN_{connections.STREAMS_CONNECTION.upper()}" in environment(name)


@pytest.mark.parametrize("name", ["api-server", "triggerer", *RUNS_TASKS])
def test_what_looks_at_streams_sees_the_folder_that_settings_name(name):
    assert "${FINK_FILES:-files}:/opt/airflow/files" in SERVICES[name]["volumes"]


@pytest.mark.parametrize("name", AIRFLOW)
def test_what_reads_the_dag_files_has_the_settings_that_schedules_are_made_of(name):
    for field in ("surveys", "health_minutes"):
        assert f"{ENV_PREFIX}{field.upper()}" in environment(name), field


def test_only_what_runs_tasks_has_the_administrator_s_account_and_the_docker_socket():
    for name, service in SERVICES.items():
        runs_tasks = name in RUNS_TASKS
        assert ("kubeconfig-admin" in service.get("secrets", [])) is runs_tasks, name
        assert any("docker.sock" in v for v in service.get("volumes", [])) is runs_tasks, name


def test_the_docker_socket_is_off_until_it_is_asked_for():
    (mount,) = [v for v in SERVICES["scheduler"]["volumes"] if "docker.sock" in v]
    assert mount.startswith("${DOCKER_SOCKET:-/dev/null}:")


def test_the_ui_is_published_on_loopback_alone_by_default():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["${AIRFLOW_BIND:-127.0.0.1}:${AIRFLOW_PORT:-8080}:8080"]}


def test_workers_and_their_broker_are_a_profile():
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["worker", "redis"]


def test_all_share_the_keys_that_must_be_one():
    for key in ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET"):
        values = {environment(name)[f"AIRFLOW__{key}"] for name in AIRFLOW}
        assert len(values) == 1


def test_development_covers_what_the_image_holds():
    development = yaml.safe_load((ROOT / "docker-compose.development.yaml").read_text())
    copied = re.findall(r"^COPY (\w+) (/opt/airflow/\w+)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert [source for source, _ in copied] == ["dags", "plugins", "include"]
    for name, service in development["services"].items():
        assert name in SERVICES
        assert service["volumes"] == [f"./{source}:{target}:ro" for source, target in copied]
    assert set(development["services"]) == set(AIRFLOW) - {"init"}


def test_the_executor_and_the_login_that_it_names_can_be_imported():
    names = {
        environment("scheduler")["AIRFLOW__CORE__AUTH_MANAGER"],
        "airflow.providers.celery.executors.celery_executor.CeleryExecutor",
    }
    for name in names:
        module, _, member = name.rpartition(".")
        assert getattr(importlib.import_module(module), member)

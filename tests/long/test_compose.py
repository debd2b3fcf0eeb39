"""A team's Airflow: up by `make up`, asked by `make doctor`, used in the browser, down again.

docker-compose.yaml itself, on the testbed's Docker engine; see testbed/compose.py for what it adds.
"""

import os
import subprocess
import time
from dataclasses import dataclass
from datetime import date, timedelta

import httpx
import psutil
import pytest

from fink_k8s.adapters.store.raw_store import NightCounts
from testbed import compose, pins
from testbed.airflow import AirflowClient
from testbed.browser import person_at
from testbed.network import leftovers
from testbed.places import KUBECONFIG_AIRFLOW, ROOT
from testbed.servers import docker
from tests.e2e.conftest import without_schedules
from tests.e2e.driving import (
    DEPLOY,
    NOT_NEEDED,
    STOP,
    Fink,
    application,
    drivers,
    kubectl,
    uids_of,
    wait_for_counts,
)
from tests.e2e.night import NIGHT_DAG, Night, form_of

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(1500),
]

# A night of 2008 that no earlier run on this testbed has stored anything of.
NIGHT = f"{date(2008, 1, 1) + timedelta(days=int(time.time()) // 60 % 366):%Y%m%d}"
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"compose_{time.time():.0f}"
SERVICES = {"postgres", "api-server", "scheduler", "dag-processor", "triggerer"}
HOSTNAME = "{{.Config.Hostname}}"
CHECKS = (
    *(
        "kubernetes_default",
        "kubernetes_admin",
        "fink_store",
        "docker_default",
        "Kafka",
        "registry",
    ),
    *("image base", "Spark archive", "plugin", "DAGs", "Java", "Maven"),
)
PROJECT = "label=com.docker.compose.project=fink-k8s"


@dataclass(frozen=True)
class Team:
    """What `make` does with a team's Airflow, and where that is."""

    variables: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://localhost:{pins.COMPOSE_PORT}"

    @property
    def password(self) -> str:
        return compose.settings()["AIRFLOW_ADMIN_PASSWORD"]

    def run(self, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        # What Compose finds in the environment goes before .env; a team's shell has none of these.
        bare = {name: os.environ[name] for name in os.environ if not name.startswith("FINK_")}
        environment = {**bare, **self.variables, **changed}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
        )
        print(f"{' '.join(command)} {changed}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def end(self) -> subprocess.CompletedProcess[str]:
        return self.run(
            *("docker", "compose", "--profile", "*", "down", "--volumes", "--remove-orphans")
        )

    def health(self) -> dict[str, str]:
        lines = docker("ps", "--all", "--filter", PROJECT, "--format", "{{.Names}}\t{{.Status}}")
        rows = dict(line.split("\t") for line in lines.splitlines())
        return {name.removeprefix("fink-k8s-").removesuffix("-1"): rows[name] for name in rows}


@pytest.fixture(scope="module")
def team(environment):
    # A night that the clock begins there would go on in the cluster, without this Airflow.
    variables = compose.prepare(print)
    files = compose.FOLDER / "files"
    files.mkdir(exist_ok=True)
    files.chmod(0o777)  # containers write there as a user of their own
    made = Team({
        **variables,
        **without_schedules(files),
        "FINK_FILES": str(files),
        "FINK_SURVEYS": "/opt/airflow/files/surveys.yaml",
    })  # fmt: skip
    made.end()
    yield made
    made.end()


@pytest.fixture(scope="module")
def up(team):
    done = team.run("make", "up")
    assert done.returncode == 0
    assert f"up at http://127.0.0.1:{pins.COMPOSE_PORT}, user admin" in done.stdout
    return team


@pytest.fixture(scope="module")
def fink(up):
    return Fink(AirflowClient(up))


@pytest.fixture(scope="module")
def deployed(fink, up):
    """Log in and trigger `fink_deploy` from its form, as a person does."""
    fink.produce(TOPIC, 400, corrupt=8)
    fink.client.wait_for_dag(DEPLOY)
    known = fink.client.runs(DEPLOY)
    with person_at(up) as person:
        person.open_dag(DEPLOY)
        form = person.open_form()
        person.send(form, night="2026-1", topic=TOPIC)
        assert "param night" in person.refusal(form)
        assert fink.client.runs(DEPLOY) == known, "a refused form starts nothing"
        person.send(form, night=NIGHT, topic=TOPIC)
        run_id = fink.client.wait_for_new_run(DEPLOY, known)
    for _ in fink.client.follow(DEPLOY, run_id, 900):
        pass
    tasks = {task["task_id"]: task for task in fink.client.tasks(DEPLOY, run_id)}
    for name, task in tasks.items():
        if task["state"] == "failed":
            print(name, fink.client.log(DEPLOY, run_id, name, task["try_number"])[-3000:])
    yield fink.client.run_state(DEPLOY, run_id), {n: t["state"] for n, t in tasks.items()}
    kubectl("delete", "sparkapplication", STREAM, "--ignore-not-found", "--wait=true")


@pytest.mark.parametrize("secret", [*compose.SECRETS, "AIRFLOW_FERNET_KEY", "KUBECONFIG_STREAMS"])
def test_without_a_secret_nothing_starts_and_it_is_named(team, secret):
    done = team.run("make", "up", **{secret: ""})
    assert done.returncode != 0
    assert f"required variable {secret} is missing a value: set it in .env" in done.stderr
    assert docker("ps", "--all", "--quiet", "--filter", PROJECT) == ""


@pytest.mark.shows("docs/from-the-command-line.md#airflow", "docs/compose.md#on-the-testbed")
def test_make_up_ends_when_every_component_is_healthy(up):
    states = up.health()
    assert set(states) == {*SERVICES, "init"}
    assert all("(healthy)" in states[name] for name in SERVICES)
    assert httpx.get(f"{up.url}/api/v2/monitor/health").json()["triggerer"]["status"] == "healthy"


def test_no_process_of_a_container_is_root_s(up):
    containers = docker("ps", "--quiet", "--filter", PROJECT).split()
    assert len(containers) == len(SERVICES)
    for container in containers:
        processes = docker("top", container, "-o", "pid,user,args").splitlines()[1:]
        assert processes
        assert not [line for line in processes if line.split()[1] in ("root", "0")]


def test_the_folder_that_settings_name_is_one_and_the_same_in_all(up):
    def inside(service, *words):
        one = f"label=com.docker.compose.service={service}"
        [container] = docker("ps", "--quiet", "--filter", PROJECT, "--filter", one).split()
        return docker("exec", container, *words).strip()

    inside("scheduler", "sh", "-c", "echo here > /opt/airflow/files/probe")
    for service in ("api-server", "triggerer"):
        assert inside(service, "cat", "/opt/airflow/files/probe") == "here"


def test_the_login_is_needed_and_no_other_password_opens_it(up):
    def status_with(password):
        body = {"username": "admin", "password": password}
        return httpx.post(f"{up.url}/auth/token", json=body).status_code

    assert httpx.get(f"{up.url}/api/v2/dags").status_code == 401
    assert status_with(up.password) == 201
    for password in ("admin", "airflow", ""):
        assert 400 <= status_with(password) < 500


def test_the_doctor_finds_nothing_missing(up):
    done = up.run("make", "doctor")
    assert done.returncode == 0
    assert "nothing is missing" in done.stdout
    for name in CHECKS:
        assert f"ok       {name}: " in done.stdout


@pytest.mark.shows("docs/from-the-command-line.md#airflow", "docs/compose.md#on-the-testbed")
def test_the_chain_triggered_in_the_browser_stores_every_alert(deployed, store, record_property):
    state, tasks = deployed
    assert state == "success", tasks
    assert tasks == dict.fromkeys(tasks, "success") | NOT_NEEDED
    counts = wait_for_counts(store, NIGHT, read=400)
    record_property("stored", counts.stored)
    record_property("set aside", counts.set_aside)
    assert counts == NightCounts(batches=counts.batches, read=400, stored=392, set_aside=8)


@pytest.mark.shows("docs/compose.md#on-the-testbed")
@pytest.mark.parametrize("service", ["scheduler", "triggerer", "dag-processor", "api-server"])
def test_a_component_that_is_killed_comes_back_and_the_stream_goes_on(
    up, deployed, service, record_property
):
    stream = uids_of([application(STREAM), *drivers(STREAM)])
    name = f"fink-k8s-{service}-1"
    before = docker("inspect", "--format", "{{.State.Pid}} {{.RestartCount}}", name).split()
    # As the kernel's out-of-memory killer does; `docker kill` would be taken for a person's wish.
    psutil.Process(int(before[0])).kill()
    begun = time.monotonic()
    while True:
        looked = docker(
            "inspect", "--format", "{{.State.Pid}} {{.RestartCount}} {{.State.Health.Status}}", name
        ).split()
        if looked[0] not in ("0", before[0]) and looked[2] == "healthy":
            break
        assert time.monotonic() - begun < 240, looked
        time.sleep(1)
    record_property("healthy again after s", round(time.monotonic() - begun))
    assert int(looked[1]) == int(before[1]) + 1
    assert uids_of([application(STREAM), *drivers(STREAM)]) == stream
    assert len(stream) == 2


TAKEN_AWAY = {
    "FINK_KAFKA_SERVERS": ("10.244.0.201:9099", "Kafka", "FINK_KAFKA_SERVERS"),
    "FINK_IMAGE_BASE": ("localhost:5000/fink/base:none", "image base", "FINK_IMAGE_BASE"),
    "FINK_SPARK_URL": ("file:///none.tgz", "Spark archive", "FINK_SPARK_URL"),
    "FINK_STORE_PREFIX": ("s3a://no-such-bucket", "fink_store", "AIRFLOW_CONN_FINK_STORE"),
    "KUBECONFIG_ADMIN": (str(KUBECONFIG_AIRFLOW), "kubernetes_admin", "KUBECONFIG_ADMIN"),
}


@pytest.mark.shows("docs/from-the-command-line.md#airflow", "docs/compose.md#on-the-testbed")
def test_what_is_taken_away_is_named_with_its_remedy(up):
    changed = {name: value for name, (value, _, _) in TAKEN_AWAY.items()}
    service = ("docker", "compose", "up", "--detach", "--no-deps", "--wait", "scheduler")
    try:
        assert up.run(*service, **changed).returncode == 0
        lines = (done := up.run("make", "doctor", **changed)).stdout.splitlines()
    finally:
        assert up.run(*service).returncode == 0
    assert done.returncode == 2  # make's own, of the doctor's 1
    for _, check, remedy in TAKEN_AWAY.values():
        (at,) = [i for i, line in enumerate(lines) if line.startswith(f"missing  {check}: ")]
        assert remedy in lines[at + 1]
    assert f"{len(TAKEN_AWAY)} missing" in lines
    assert up.run("make", "doctor").returncode == 0


def test_without_the_docker_socket_the_doctor_warns_and_is_content(up):
    away = {"DOCKER_SOCKET": "", "DOCKER_GID": ""}
    service = ("docker", "compose", "up", "--detach", "--no-deps", "--wait", "scheduler")
    try:
        assert up.run(*service, **away).returncode == 0
        done = up.run("make", "doctor", **away)
    finally:
        assert up.run(*service).returncode == 0
    assert done.returncode == 0
    assert "warning  docker_default: no Docker engine is set" in done.stdout


@pytest.fixture(scope="module")
def workers(up):
    """Let tasks run in a worker of Celery; return the words that `make` takes for it."""
    celery = {"COMPOSE_PROFILES": "celery", "AIRFLOW_EXECUTOR": "CeleryExecutor"}
    assert up.run("make", "up", **celery).returncode == 0
    assert {"worker", "redis"} <= set(up.health())
    return celery


@pytest.mark.shows("docs/compose.md#on-the-testbed")
def test_with_workers_tasks_run_in_them(up, fink, workers):
    assert up.run("make", "doctor", **workers).returncode == 0
    run = fink.run("fink_rbac")
    assert run.state == "success"
    hosts = {task["hostname"] for task in run.tasks.values()}
    assert hosts == {docker("inspect", "--format", HOSTNAME, "fink-k8s-worker-1").strip()}
    # The API server reads the log where it was written.
    assert "the API server confirms: " in run.log("rbac.check_rights")


@pytest.mark.shows("docs/compose.md#on-the-testbed")
def test_a_worker_that_is_killed_in_the_middle_of_a_task_harms_no_night(
    workers, deployed, fink, store, record_property
):
    """The stream goes on, and the next try of the task adopts it."""
    uid = drivers(STREAM)[0]["metadata"]["uid"]
    fink.produce(TOPIC, 100)
    run = Night(fink, form_of(NIGHT, TOPIC, seconds=330, trigger_interval_s=10))
    run.wait_for("check_prerequisites", "running")
    worker = int(docker("inspect", "--format", "{{.State.Pid}}", "fink-k8s-worker-1"))
    psutil.Process(worker).kill()
    begun = time.monotonic()
    run.wait_for("watch_until_end", "deferred", seconds=330)
    record_property("watched again after s", round(time.monotonic() - begun))
    assert [driver["metadata"]["uid"] for driver in drivers(STREAM)] == [uid]
    assert run.end(seconds=600) == "success"
    tries = {one["task_id"]: one["try_number"] for one in fink.client.tasks(NIGHT_DAG, run.run_id)}
    assert tries["check_prerequisites"] > 1
    counts = store.counts(NIGHT)
    assert (counts.read, counts.stored, counts.set_aside) == (500, 492, 8)


def test_a_stream_is_looked_into_and_stopped_in_the_browser(up, deployed, fink):
    fink.produce(TOPIC, 20)
    run = fink.run(DEPLOY, night=NIGHT, topic=TOPIC)
    assert run.state == "success"
    known = fink.client.runs(STOP)
    with person_at(up) as person:
        person.follow_run(DEPLOY, run.run_id, "Success", seconds=30)
        person.follow_link(DEPLOY, run.run_id, "submit.submit_application", "Spark UI")
        assert "Spark Jobs" in person.page.title()
        assert f"/streams/{STREAM}/ui/" in person.page.url
        person.open_dag(STOP)
        person.send(person.open_form(), night=NIGHT)
        run_id = fink.client.wait_for_new_run(STOP, known)
        for _ in fink.client.follow(STOP, run_id, 300):
            pass
        person.follow_run(STOP, run_id, "Success", seconds=30)
    assert STREAM not in kubectl("get", "sparkapplications,pods", "-o", "name")


@pytest.mark.shows("docs/compose.md#on-the-testbed")
def test_down_leaves_nothing(up):
    assert up.end().returncode == 0
    assert docker("ps", "--all", "--quiet", "--filter", PROJECT) == ""
    assert docker("volume", "ls", "--quiet", "--filter", PROJECT) == ""
    assert docker("network", "ls", "--quiet", "--filter", PROJECT) == ""
    assert pins.COMPOSE_BRIDGE not in leftovers()
    with pytest.raises(httpx.ConnectError):
        httpx.get(up.url, timeout=5)

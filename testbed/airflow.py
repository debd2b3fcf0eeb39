"""A real Airflow for the demo and the tests: `airflow standalone`, and a client of its API.

All four components run (API server, scheduler, DAG processor, triggerer), on loopback, with the
login enabled. The home directory contains the database, the logs and the generated password.
"""

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from testbed.process import group_members, record, recorded_in, start_time

ROOT = Path(__file__).resolve().parents[1]
USER = "admin"
PRELOAD = (
    "airflow,airflow.executors.local_executor,airflow.sdk.execution_time.task_runner,"
    "fink_k8s.glue.stages"
)
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class AirflowDownError(RuntimeError):
    """Airflow did not start, or stopped; the message names its log."""


class RefusedFormError(ValueError):
    """The trigger form refuses a value."""


@dataclass(frozen=True)
class Airflow:
    """One Airflow: its home, its port, the environment of its tasks, and its folder of DAGs."""

    home: Path
    port: int = 8080
    environment: Mapping[str, str] = field(default_factory=dict)
    dags: Path = ROOT / "dags"

    @property
    def url(self) -> str:
        """Return the address of the UI and the API."""
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> Path:
        """Return the log of all components."""
        return self.home / "standalone.log"

    @property
    def password(self) -> str:
        """Return the password that Airflow generated for the user `admin` at its first start."""
        path = self.home / "passwords.json"
        return str(json.loads(path.read_text())[USER])

    def variables(self) -> dict[str, str]:
        """Return the environment of every component: settings, connections, import paths."""
        env = {**os.environ, **self.environment}
        path = f"{ROOT}/include:{ROOT}"
        env.update(
            AIRFLOW_HOME=str(self.home),
            PYTHONPATH=path,
            PATH=f"{ROOT}/.venv/bin:{env.get('PATH', '')}",
            AIRFLOW__CORE__DAGS_FOLDER=str(self.dags),
            AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__PARALLELISM="4",
            # Tasks fork from a process that has imported what they need; see docs/configuration.md.
            AIRFLOW__SCHEDULER__MP_START_METHOD="forkserver",
            AIRFLOW__CORE__MP_FORKSERVER_PRELOAD=PRELOAD,
            # The files do not change while it runs; parsing them again would slow the streams.
            AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL="600",
            AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES="1",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=f"{USER}:admin",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=str(self.home / "passwords.json"),
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{self.url}/execution/",
            AIRFLOW__API__HOST="127.0.0.1",
            AIRFLOW__API__PORT=str(self.port),
            AIRFLOW__API__BASE_URL=self.url,
            AIRFLOW__API__WORKERS="1",
            AIRFLOW__API_AUTH__JWT_SECRET=self._secret(),
            AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK="False",
            # Two Airflows on one machine need different ports for the log servers of their workers.
            AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(self.port + 700),
            AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(self.port + 701),
            AIRFLOW_CONN_KUBERNETES_DEFAULT=_kubernetes_connection(env.get("KUBECONFIG_AIRFLOW")),
            AIRFLOW_CONN_KUBERNETES_ADMIN=_kubernetes_connection(env.get("KUBECONFIG")),
            AIRFLOW_CONN_FINK_STORE=_store_connection(env),
            AIRFLOW_CONN_DOCKER_DEFAULT=_docker_connection(env),
        )
        # The components must not use a proxy for the outside world between them.
        env["NO_PROXY"] = env["no_proxy"] = ",".join(
            filter(None, [env.get("NO_PROXY", ""), "localhost,127.0.0.1,10.200.0.1,.local"])
        )
        # The connections name the kubeconfig; the provider's trigger accepts only one of the two.
        env.pop("KUBECONFIG", None)
        return env

    def start(self, wait_seconds: float = 240) -> None:
        """Start all components unless they are running, and wait until all are healthy.

        Raises:
            AirflowDownError: a component is not healthy in time, or the process ended.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        if self.is_healthy():
            return
        self.stop()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(ROOT / ".venv/bin/airflow"), "standalone"],
                env=self.variables(),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        record(self._pid_file, process.pid)
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AirflowDownError(
                    f"airflow standalone ended with {process.returncode}; see {self.log}"
                )
            if self.is_healthy():
                return
            time.sleep(1)
        raise AirflowDownError(f"Airflow is not healthy after {wait_seconds:.0f} s; see {self.log}")

    def stop(self, wait_seconds: float = 30) -> None:
        """Stop all components; do nothing if none runs."""
        if not self._pid_file.exists():
            return
        group, started = recorded_in(self._pid_file)
        # The group can outlive its leader, so look for all members, not only for the leader.
        members = group_members(group) if _is_group(group, started) else []
        for sig, patience in ((signal.SIGTERM, wait_seconds), (signal.SIGKILL, 5.0)):
            if not members:
                break
            os.killpg(group, sig)
            deadline = time.monotonic() + patience
            while (members := group_members(group)) and time.monotonic() < deadline:
                time.sleep(0.2)
        self._pid_file.unlink()

    def is_healthy(self) -> bool:
        """Tell whether every component reports that it is healthy."""
        try:
            answer = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        components = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(answer.get(name, {}).get("status") == "healthy" for name in components)

    @property
    def _pid_file(self) -> Path:
        return self.home / "standalone.pid"

    def _secret(self) -> str:
        """Return one signing key for all components, generated at the first start."""
        path = self.home / "jwt_secret"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(48))
        return path.read_text()


class AirflowClient:
    """The part of Airflow's API v2 that a person uses in the UI: trigger, follow, read."""

    def __init__(self, airflow: Airflow) -> None:
        self.url = airflow.url
        self._http = httpx.Client(base_url=airflow.url, timeout=60)
        answer = self._http.post(
            "/auth/token", json={"username": USER, "password": airflow.password}
        )
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def wait_for_dag(self, dag_id: str, wait_seconds: float = 120) -> None:
        """Wait until the DAG processor has read `dag_id`.

        Raises:
            AirflowDownError: it is not there in time; import errors are in the message.
        """
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            if self._http.get(f"/api/v2/dags/{dag_id}").status_code == 200:
                return
            time.sleep(1)
        raise AirflowDownError(
            f"DAG {dag_id} did not appear; import errors: {self.import_errors()}"
        )

    def import_errors(self) -> list[str]:
        """Return the import errors of the DAG processor, one text for each file."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Unpause `dag_id` and start a run with the form's values `conf`; return the run's id.

        Raises:
            RefusedFormError: the form refuses a value; the message is Airflow's.
        """
        self._http.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).raise_for_status()
        answer = self._http.post(
            f"/api/v2/dags/{dag_id}/dagRuns", json={"conf": dict(conf), "logical_date": None}
        )
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise RefusedFormError(str(answer.json()["detail"]))
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def runs(self, dag_id: str) -> list[str]:
        """Return the ids of a DAG's latest runs, the newest first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        runs = self._get(path, order_by="-run_after", limit="50")["dag_runs"]
        return [str(run["dag_run_id"]) for run in runs]

    def last_run(self, dag_id: str) -> str:
        """Return the id of the newest run.

        Raises:
            AirflowDownError: there is none.
        """
        runs = self.runs(dag_id)
        if not runs:
            raise AirflowDownError(f"{dag_id} has no run; trigger it first")
        return runs[0]

    def wait_for_new_run(self, dag_id: str, known: list[str], wait_seconds: float = 30) -> str:
        """Return the id of a run that is not among the `known`, once someone has started it.

        Raises:
            AirflowDownError: there is none in time.
        """
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            if new := [run for run in self.runs(dag_id) if run not in known]:
                return new[0]
            time.sleep(0.5)
        raise AirflowDownError(f"{dag_id} was not triggered within {wait_seconds:.0f} s")

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run, e.g. `running`, `success`, `failed`."""
        return str(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the run's task instances as the API gives them."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self._get(path)["task_instances"])

    def follow(self, dag_id: str, run_id: str, wait_seconds: float) -> Iterator[dict[str, Any]]:
        """Yield each task instance when its state changes, until the run ends.

        Raises:
            AirflowDownError: the run has not ended in time.
        """
        seen: dict[str, str | None] = {}
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            state = self.run_state(dag_id, run_id)
            for task in self.tasks(dag_id, run_id):
                if seen.get(task["task_id"]) != task["state"]:
                    seen[task["task_id"]] = task["state"]
                    yield task
            if state in FINISHED:
                return
            time.sleep(1)
        raise AirflowDownError(f"{dag_id} {run_id} has not ended after {wait_seconds:.0f} s")

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return a task's log as plain lines; empty if that try wrote none."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        answer = self._http.get(path, params={"full_content": "true"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return ""
        answer.raise_for_status()
        content = answer.json()["content"]
        return "\n".join(_log_line(entry) for entry in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return an XCom of a task, or None if there is none."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._http.get(path, params={"deserialize": "true"})
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()["value"]

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
        """Return the addresses of a task's buttons, by name."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        return dict(self._get(path)["extra_links"])

    def page(self, path: str) -> httpx.Response:
        """Return any page of the web server, as the logged-in user sees it."""
        return self._http.get(path, follow_redirects=True)

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        answer = self._http.get(path, params=params)
        answer.raise_for_status()
        return dict(answer.json())


def _log_line(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    words = [str(entry.get(key, "")) for key in ("timestamp", "level", "event")]
    # Airflow keeps the exception and its causes separate from the log line that mentions it.
    words += [f"{one['exc_type']}: {one['exc_value']}" for one in entry.get("error_detail") or ()]
    return " ".join(words).strip()


def _kubernetes_connection(kubeconfig: str | None) -> str:
    extra = {"kube_config_path": kubeconfig} if kubeconfig else {"in_cluster": True}
    return json.dumps({"conn_type": "kubernetes", "extra": extra})


def _store_connection(env: Mapping[str, str]) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": env.get("AWS_ACCESS_KEY_ID", ""),
            "password": env.get("AWS_SECRET_ACCESS_KEY", ""),
        }
    )


def _docker_connection(env: Mapping[str, str]) -> str:
    registry = env.get("FINK_IMAGE_REPOSITORY", "localhost:5000/").split("/")[0]
    return json.dumps({"conn_type": "docker", "host": registry})


def _is_group(group: int, started: int) -> bool:
    """Tell whether the group is the recorded one: by its leader's start time, if it still runs."""
    try:
        return start_time(group) == started
    except psutil.NoSuchProcess:
        return True

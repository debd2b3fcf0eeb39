"""What a person does in the UI, and what an operator of the cluster sees with kubectl."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from fink_k8s.adapters.store.raw_store import NightCounts, Store
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.stream.stream_names import pod_selector
from testbed.airflow import AirflowClient

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "spark"
DEPLOY, STOP = "fink_deploy", "fink_stop"
# What a run of it that goes well, with the form's own way of submission, has no need of.
NOT_NEEDED = {"submit.spark_submit": "skipped", "diagnose_failure": "skipped"}


def unused_night(nth: int = 0) -> str:
    """Return a night that no earlier test run on this testbed has stored anything of.

    Modules of one run tell their nights apart by `nth`, from 0 to 9.
    """
    minute = int(time.time()) // 60
    return f"{date(2010, 1, 1) + timedelta(days=(10 * minute + nth) % 5000):%Y%m%d}"


@dataclass(frozen=True)
class Run:
    """A DAG run that has ended."""

    client: AirflowClient
    dag_id: str
    run_id: str
    state: str
    seconds: float
    tasks: dict[str, dict[str, Any]]

    def xcom(self, task_id: str) -> Any:
        return self.client.xcom(self.dag_id, self.run_id, task_id)

    def log(self, task_id: str) -> str:
        tries = self.tasks[task_id]["try_number"]
        return "\n".join(
            self.client.log(self.dag_id, self.run_id, task_id, number)
            for number in range(1, tries + 1)
        )

    def failed(self) -> str:
        """Return the task that failed by itself."""
        return next(name for name, state in self.states().items() if state == "failed")

    def states(self) -> dict[str, str]:
        return {name: task["state"] for name, task in self.tasks.items()}


class Fink:
    """What a person does in the UI, and what an operator of the cluster sees with kubectl."""

    def __init__(self, client: AirflowClient) -> None:
        self.client = client

    def run(self, dag_id: str, wait_seconds: float = 600, **form: Any) -> Run:
        self.client.wait_for_dag(dag_id)
        begun = time.monotonic()
        run_id = self.client.trigger(dag_id, form)
        for _ in self.client.follow(dag_id, run_id, wait_seconds):
            pass
        tasks = {task["task_id"]: task for task in self.client.tasks(dag_id, run_id)}
        state = self.client.run_state(dag_id, run_id)
        run = Run(self.client, dag_id, run_id, state, time.monotonic() - begun, tasks)
        print(f"{dag_id} {form}: {state} after {run.seconds:.0f} s, {run.states()}")
        for name, task in tasks.items():
            if task["state"] == "failed":
                print(f"--- {name}\n{run.log(name)[-3000:]}")
        return run

    def produce(self, topic: str, count: int, corrupt: int = 0) -> dict[str, Any]:
        command = [sys.executable, "-m", "testbed.alerts", "--topic", topic]
        command += ["--count", str(count), "--corrupt", str(corrupt)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


def kubectl(*words: str, stdin: str | None = None) -> str:
    command = ["kubectl", "-n", NAMESPACE, *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def pods(stream: str, *more: str) -> list[dict[str, Any]]:
    """Return a stream's pods: driver and executors, or those that `more` selects of them."""
    selector = ",".join([pod_selector(stream), *more])
    return json.loads(kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]


def drivers(stream: str) -> list[dict[str, Any]]:
    return pods(stream, "spark-role=driver")


def uids_of(things: Iterable[dict[str, Any]]) -> list[str]:
    return [one["metadata"]["uid"] for one in things]


def application(stream: str) -> dict[str, Any]:
    return json.loads(kubectl("get", "sparkapplication", stream, "-o", "json"))


def lines_with(log: str, *words: str) -> list[str]:
    """Return the lines of a log that hold each of `words`.

    A word alone proves little: a log shows the form as well, and names of fields.
    """
    return [line for line in log.splitlines() if all(word in line for word in words)]


def seconds_to_first_cause(log: str) -> float:
    """Return the seconds from a task's first line to the first that names a category of causes."""
    lines = [line for line in log.splitlines() if "Z" in line[:32]]
    causes = [line for line in lines if any(f"[{category}]" in line for category in Category)]
    assert causes, f"no line names a cause: {log}"
    begun, named = (datetime.fromisoformat(line.split()[0]) for line in (lines[0], causes[0]))
    return (named - begun).total_seconds()


def wait_for_counts(store: Store, night: str, read: int, seconds: float = 90) -> NightCounts:
    """Return the counts once `read` alerts are committed and each is stored or set aside.

    A deploy ends with its first batch, more may come; and what a batch sets aside is written right
    after its commit.
    """
    deadline = time.monotonic() + seconds
    while True:
        counts = store.counts(night)
        if (counts.read >= read and counts.is_complete) or time.monotonic() > deadline:
            return counts
        time.sleep(1)

"""How soon a driver's death is known in Airflow: `python -m benchmarks.detect`.

From the moment that a driver's pod is struck out to the moment at which Airflow's database has it,
the same for all: the task has left the state in which it waited. Ours is the watch of a night; the
peers are the provider's SparkKubernetesOperator, as it comes and deferrable. Nobody starts the
driver again (restart policy Never), so that a death is the end. Medians of several runs, in turn.

The last line is one JSON object, in seconds.
"""

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from fink_k8s.adapters.images import resolve
from fink_k8s.core.manifests import make_spark_application
from fink_k8s.core.releases import releases_from
from fink_k8s.core.requests import StreamRequest
from fink_k8s.core.settings import load_settings
from testbed.airflow import Airflow, AirflowClient
from testbed.node import kubectl
from testbed.places import ROOT

DAGS = ("ours", "provider_sync", "provider_deferred")
WAITING = {"running", "deferred"}
MINUTE = int(time.time()) // 60


def manifest_of(night):
    """Return an application that nobody starts again."""
    settings = load_settings()
    release = releases_from((ROOT / "include/releases.yaml").read_text()).get("")
    image = resolve(settings.image_repository, release.tag)
    request = StreamRequest(night=night, topic="bench_detect")
    manifest = make_spark_application(request, settings, image, release.spark)
    manifest["spec"]["restartPolicy"] = {"type": "Never"}
    return manifest


def state_of(home, dag_id, run_id):
    with contextlib.closing(sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True)) as db:
        query = "select state from task_instance where dag_id = ? and run_id = ?"
        return db.execute(query, (dag_id, run_id)).fetchone()[0]


def wait_for(question, seconds):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, question
        time.sleep(0.05)
    return answer


def driver_of(stream):
    ready = "jsonpath={.status.phase} {.status.containerStatuses[0].ready}"
    words = ["-n", "spark", "get", "pods", "--ignore-not-found", f"{stream}-driver", "-o", ready]
    return kubectl(*words).strip() == "Running true"


def death(client, home, dag_id, night):
    """Return the seconds from a driver's death to Airflow's knowing of it."""
    manifest = manifest_of(night)
    stream = manifest["metadata"]["name"]
    client.wait_for_dag(dag_id)
    run_id = client.trigger(dag_id, {"manifest": manifest})
    try:
        wait_for(lambda: driver_of(stream), 180)
        waits = {"provider_sync": "running"}.get(dag_id, "deferred")
        wait_for(lambda: state_of(home, dag_id, run_id) == waits, 120)
        time.sleep(20)
        kubectl("-n", "spark", "delete", "pod", f"{stream}-driver", "--force",
                "--grace-period=0", "--wait=false")  # fmt: skip
        struck = time.monotonic()
        wait_for(lambda: state_of(home, dag_id, run_id) not in WAITING, 300)
        return time.monotonic() - struck
    finally:
        kubectl("-n", "spark", "delete", "sparkapplication", stream, "--ignore-not-found")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    seconds = {dag_id: [] for dag_id in DAGS}
    with tempfile.TemporaryDirectory() as folder:
        airflow = Airflow(Path(folder), port=8084, dags=ROOT / "benchmarks/dags")
        airflow.start()
        try:
            client = AirflowClient(airflow)
            for run in range(asked.runs):
                for number, dag_id in enumerate(DAGS):
                    day = date(2000, 1, 1) + timedelta(days=(20 * MINUTE + 3 * run + number) % 3600)
                    found = death(client, airflow.home, dag_id, f"{day:%Y%m%d}")
                    print(f"{dag_id:18} {found:5.1f} s", flush=True)
                    seconds[dag_id].append(found)
        finally:
            airflow.stop()
    ours, sync, deferred = (round(statistics.median(seconds[dag_id]), 1) for dag_id in DAGS)
    print(f"the provider takes {sync / ours:.1f} and {deferred / ours:.1f} times as long")
    figures = {"detect_s": ours, "provider_sync_s": sync, "provider_deferred_s": deferred}
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

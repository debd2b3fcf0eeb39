"""Measure how soon Airflow knows of a driver's death: ours, and the provider's two modes."""

import os
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.image_build import ensure_image, resolve
from fink_k8s.adapters.stream.rights import ensure_rights
from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.names import ANNOTATION_SPEC_HASH
from fink_k8s.core.config.releases import Release, releases_from
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.stream.manifests import canonical_json, make_spark_application, spec_hash
from fink_k8s.core.stream.stream_names import driver_pod_name
from fink_k8s.core.stream.stream_request import RbacMode, StreamRequest
from testbed import bed
from testbed.airflow import FINISHED, Airflow, AirflowClient
from testbed.alerts.__main__ import make_topic
from testbed.places import RELEASES, ROOT
from testbed.process import TestbedError

PORT = 8083
# The state of the task in the database while it watches, by what is measured.
WATCHING = {"ours": "deferred", "provider_sync": "running", "provider_deferred": "deferred"}

_POLL_SECONDS = 0.05
_START_SECONDS = 300
# By then the query lives, and the operator, which polls every 10 s, has seen that the driver runs.
_RUN_SECONDS = 40
# Random, so that the kill is not in step with the polls.
_SPREAD_SECONDS = 10
_KNOWN_SECONDS = 600


@dataclass(frozen=True)
class Bench:
    """An Airflow, its cluster, and what is submitted there."""

    airflow: Airflow
    airflow_api: AirflowClient
    api: client.ApiClient
    settings: Settings
    release: Release
    image: str

    @property
    def cluster(self) -> Cluster:
        """Return the cluster, as its administrator."""
        return Cluster(self.api)


def measure(runs: int) -> dict[str, float]:
    """Return the seconds from a driver's death until Airflow knows: medians of the runs."""
    os.environ.update(bed.environment())
    settings = load_settings()
    release = releases_from(RELEASES.read_text()).get()
    api = config.new_client_from_config(os.environ["KUBECONFIG"])
    ensure_rights(Cluster(api), settings, RbacMode.LEAST_PRIVILEGE, print)
    image = _image(settings, release)
    home = Path(tempfile.mkdtemp(prefix="bench-watch-"))
    airflow = Airflow(home, PORT, bed.environment(), dags=ROOT / "benchmarks/watch/dags")
    seconds: dict[str, list[float]] = {side: [] for side in WATCHING}
    try:
        airflow.start()
        bench = Bench(airflow, AirflowClient(airflow), api, settings, release, image)
        for side in WATCHING:
            bench.airflow_api.wait_for_dag(f"bench_{side}")
        nights = _nights()
        for _ in range(runs):
            for side in WATCHING:
                seconds[side].append(_seconds_to_know(bench, side, next(nights)))
    finally:
        airflow.stop()
    shutil.rmtree(home)  # kept after a failed run, for its logs
    return {side: round(statistics.median(found), 2) for side, found in seconds.items()}


def _seconds_to_know(bench: Bench, side: str, night: str) -> float:
    """Run one stream, kill its driver, and return the seconds until the task notices."""
    application = _application(bench, night)
    name = application["metadata"]["name"]
    pods, namespace = client.CoreV1Api(bench.api), bench.settings.namespace
    dag_id = f"bench_{side}"
    until = f"{datetime.now(UTC) + timedelta(hours=6):%Y-%m-%dT%H:%M:%S+00:00}"
    try:
        run_id = bench.airflow_api.trigger(
            dag_id,
            {
                "manifest": canonical_json(application),
                "namespace": namespace,
                "until": until,
            },
        )
        _wait(lambda: _runs(pods, namespace, name), _START_SECONDS, f"the driver of {name}")
        time.sleep(_RUN_SECONDS + random.uniform(0, _SPREAD_SECONDS))
        if (state := _state(bench, dag_id, run_id)) != WATCHING[side]:
            raise TestbedError(
                f"{dag_id} {run_id} is {state} while its driver runs, not {WATCHING[side]}; "
                f"see {bench.airflow.home}"
            )
        pods.delete_namespaced_pod(driver_pod_name(name), namespace, grace_period_seconds=0)
        died = time.monotonic()
        _wait(
            lambda: _state(bench, dag_id, run_id) != WATCHING[side],
            _KNOWN_SECONDS,
            f"{dag_id} {run_id} to know of the death",
        )
        seconds = time.monotonic() - died
        _wait(
            lambda: bench.airflow_api.run_state(dag_id, run_id) in FINISHED,
            _KNOWN_SECONDS,
            f"the end of {dag_id} {run_id}",
            poll_seconds=1,
        )
        end = bench.airflow_api.run_state(dag_id, run_id)
        print(f"{side}: known after {seconds:.2f} s; the run ended as {end}", flush=True)
        return seconds
    finally:
        bench.cluster.delete("SparkApplication", name, namespace)


def _application(bench: Bench, night: str) -> dict[str, Any]:
    """Return a small stream that nobody restarts: it ends with its driver."""
    topic = f"bench_watch_{night}"
    make_topic(bench.settings.kafka_servers, topic, 1)
    request = StreamRequest(night=night, topic=topic, driver_memory="600m", executor_memory="600m")
    made = make_spark_application(request, bench.settings, bench.image, bench.release.spark)
    made["spec"]["restartPolicy"] = {"type": "Never"}
    made["metadata"]["annotations"][ANNOTATION_SPEC_HASH] = spec_hash(made["spec"])
    return made


def _image(settings: Settings, release: Release) -> str:
    """Return the release's image; build it if the registry lacks it."""
    try:
        return resolve(settings.image_repository, release.tag)
    except InvalidRequest:
        import docker

        from fink_k8s.adapters.image.distribution import ensure_distribution, ensure_jars

        engine = docker.APIClient(os.environ["DOCKER_HOST"], timeout=600)
        home = ensure_distribution(settings, release, print)
        jars = ensure_jars(settings, release, print)
        return ensure_image(
            engine, settings, release, home, jars, ROOT / "include", print
        ).reference


def _nights() -> Any:
    """Yield nights that no recent run has used, so that none has a checkpoint."""
    first = date(2000, 1, 1) + timedelta(days=int(time.time() / 60) % 9000)
    while True:
        yield f"{first:%Y%m%d}"
        first += timedelta(days=1)


def _runs(pods: client.CoreV1Api, namespace: str, stream: str) -> bool:
    try:
        pod = pods.read_namespaced_pod(driver_pod_name(stream), namespace)
    except ApiException as error:
        if error.status == 404:
            return False
        raise
    return bool(pod.status.phase == "Running")


def _state(bench: Bench, dag_id: str, run_id: str) -> str | None:
    """Return the state of the run's one task, as Airflow's database has it."""
    database = sqlite3.connect(f"file:{bench.airflow.home}/airflow.db?mode=ro", uri=True, timeout=5)
    try:
        row = database.execute(
            "SELECT state FROM task_instance WHERE dag_id = ? AND run_id = ?", (dag_id, run_id)
        ).fetchone()
    finally:
        database.close()
    return row[0] if row else None


def _wait(
    is_so: Callable[[], bool], seconds: float, what: str, poll_seconds: float = _POLL_SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TestbedError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(poll_seconds)

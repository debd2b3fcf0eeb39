"""Measure the cost of one process that watches many streams: ours and the provider's, in turn."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from kubernetes import config

from benchmarks.watch.objects import METRICS_PORT, make_streams, namespace
from benchmarks.watch.stand_in import StandIn, serving
from testbed import pins
from testbed.places import KUBECONFIG, KUBECONFIG_AIRFLOW, ROOT
from testbed.process import TestbedError

SIDES = ("ours", "provider")
FIGURES = ("cpu_cores", "rss_mb", "api_requests_per_min")

Figures = dict[str, dict[str, float]]


def measure(sizes: list[int], runs: int, window: float, warm_up: float) -> dict[int, Figures]:
    """Return each figure of both sides by number of applications: medians of the runs."""
    api = config.new_client_from_config(str(KUBECONFIG))
    name = f"bench-watch-{time.time():.0f}"
    found, made = {}, 0
    with serving() as drivers, namespace(api, name), _environment() as environment:
        for size in sorted(sizes):
            make_streams(api, name, range(made, size))
            made = max(made, size)
            rows: dict[str, list[Any]] = {side: [] for side in SIDES}
            for _ in range(runs):
                for side in SIDES:
                    before = replace(drivers)
                    options = _options(side, name, size, drivers.log_url, window, warm_up)
                    rows[side].append(_watched(options, warm_up + window, environment))
                    print(f"{size} applications, {side}: {rows[side][-1]}", flush=True)
                    if why := rows[side][-1]["why"]:
                        raise TestbedError(f"{side} gave up watching: {why}")
                    if side == "ours":
                        _check(before, drivers, size)
            found[size] = _medians(rows)
    return found


def _medians(rows: Mapping[str, list[Any]]) -> Figures:
    return {
        figure: {
            side: round(statistics.median(row[figure] for row in rows[side]), 3) for side in SIDES
        }
        for figure in (*FIGURES, "rss_growth_mb")
    }


def _check(before: StandIn, after: StandIn, size: int) -> None:
    """Refuse the figures of a watch that saw no running drivers, because it did too little."""
    pages, logs = after.pages - before.pages, after.logs - before.logs
    if pages < size or logs < size:
        raise TestbedError(
            f"{size} drivers were asked {pages} times for metrics and {logs} for a log: the API "
            f"server does not reach {pins.BRIDGE_ADDRESS}:{METRICS_PORT}, or the pods do not run"
        )


def _options(
    side: str, name: str, size: int, log_server: str, window: float, warm_up: float
) -> list[str]:
    return [
        *(side, name),
        *("--applications", str(size), "--log-server", log_server),
        *("--window", str(window), "--warm-up", str(warm_up)),
    ]


def _watched(options: list[str], seconds: float, environment: Mapping[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.watch.watcher", *options],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 600,
    )
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Yield the environment of a watcher: the streams' account as a connection, no Airflow."""
    connection = {
        "conn_type": "kubernetes",
        "extra": {"kube_config_path": str(KUBECONFIG_AIRFLOW)},
    }
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as home:
        # The provider's trigger does not accept a kubeconfig in addition to a connection.
        inherited = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        yield {
            **inherited,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
            "NO_PROXY": "*",
        }

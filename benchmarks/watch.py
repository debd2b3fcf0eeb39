"""What it costs to watch streams from the triggerer: `python -m benchmarks.watch`.

One process watches N applications on a real API server for a while, once with this project's
trigger for a night, once with the provider's trigger that its deferrable operator uses. Each is a
task of one event loop, as in Airflow's triggerer; Airflow's own part, the same for both, is not in
the figures. The drivers are Pending pods that no node takes, so that 1,000 fit on one machine: of
a driver that runs, ours asks for its gauges each 5 s besides. CPU is of the process, memory its
resident set; requests are counted by the API server (`apiserver_request_total`), less what an idle
cluster asks for.

The last line is one JSON object: the figures of the largest N.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from kubernetes import client, config

from fink_k8s.core.names import labels_of
from testbed.airflow import _kubernetes_connection
from testbed.node import kubectl
from testbed.places import KUBECONFIG

NAMESPACE = "bench-watch"
SIDES = ("ours", "provider")
FIRST = date(2001, 1, 1)
GROUP = ("sparkoperator.k8s.io", "v1beta2")


def streams(count):
    return [f"{FIRST + timedelta(days=number):%Y%m%d}" for number in range(count)]


def application(night):
    return {
        "apiVersion": "/".join(GROUP),
        "kind": "SparkApplication",
        "metadata": {"name": f"stream2raw-ztf-{night}", "labels": labels_of("ztf", night)},
        "spec": {
            "type": "Python",
            "mode": "cluster",
            "sparkVersion": "3.5.7",
            "image": "none",
            "mainApplicationFile": "local:///none.py",
            "driver": {},
            "executor": {"instances": 1},
        },
    }


def driver(night):
    labels = labels_of("ztf", night) | {"spark-role": "driver"}
    return {
        "metadata": {"name": f"stream2raw-ztf-{night}-driver", "labels": labels},
        "spec": {
            "nodeSelector": {"no": "such-node"},
            "containers": [{"name": "spark-kubernetes-driver", "image": "none"}],
        },
    }


def make(count):
    """Make the objects, twenty at a time."""
    config.load_kube_config(str(KUBECONFIG))
    core, custom = client.CoreV1Api(), client.CustomObjectsApi()

    def both(night):
        custom.create_namespaced_custom_object(
            *GROUP, NAMESPACE, "sparkapplications", application(night)
        )
        core.create_namespaced_pod(NAMESPACE, driver(night))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(both, streams(count)))


def requests_answered():
    """Return how many requests the API server has answered so far."""
    lines = kubectl("get", "--raw", "/metrics").splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("apiserver_request_total{")
    )


def rate(seconds):
    """Return the requests a minute over the next seconds."""
    before = requests_answered()
    time.sleep(seconds)
    return (requests_answered() - before) * 60 / seconds


def watched_by(side, night):
    name = f"stream2raw-ztf-{night}"
    if side == "ours":
        from fink_k8s.glue.night_trigger import NightTrigger

        later = datetime.now(UTC) + timedelta(hours=5)
        return NightTrigger("kubernetes_default", NAMESPACE, name, later.isoformat())
    from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger

    return KubernetesPodTrigger(
        pod_name=f"{name}-driver",
        pod_namespace=NAMESPACE,
        trigger_start_time=datetime.now(UTC),
        base_container_name="spark-kubernetes-driver",
        kubernetes_conn_id="kubernetes_default",
        get_logs=False,
        # It is to wait for as long as it is measured.
        startup_timeout=36_000,
        schedule_timeout=36_000,
        on_finish_action="keep_pod",
        on_kill_action="keep_pod",
    )


async def watch(side, count):
    """Watch until the process is ended."""

    async def follow(trigger):
        async for event in trigger.run():
            raise AssertionError(f"{trigger} ended: {event}")

    await asyncio.gather(*(follow(watched_by(side, night)) for night in streams(count)))


def measured(side, count, warm, seconds):
    """Return (cores, MB, requests a minute) of a process that watches."""
    words = [sys.executable, "-m", "benchmarks.watch", "watch", side, str(count)]
    env = {
        **os.environ,
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": _kubernetes_connection(str(KUBECONFIG)),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    idle = rate(seconds / 2)
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL)
    try:
        time.sleep(warm)
        before, begun = cpu_seconds(process.pid), time.monotonic()
        asked = rate(seconds) - idle
        assert process.poll() is None, f"{side} has ended"
        cores = (cpu_seconds(process.pid) - before) / (time.monotonic() - begun)
        return cores, resident_mb(process.pid), max(0.0, asked)
    finally:
        process.kill()
        process.wait()


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError(pid)


def load(counts, runs, warm, seconds):
    """Return the medians by side, of the largest count; print those of all."""
    found = {}
    for count in counts:
        kubectl("create", "namespace", NAMESPACE)
        try:
            make(count)
            for side in SIDES:
                rows = [measured(side, count, warm, seconds) for _ in range(runs)]
                cores, memory, asked = (
                    statistics.median(column) for column in zip(*rows, strict=True)
                )
                found[side] = {
                    "cpu_cores": round(cores, 3),
                    "rss_mb": round(memory),
                    "api_requests_per_min": round(asked),
                }
                print(f"{count:5} applications, {side:8}: {found[side]}", flush=True)
        finally:
            kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=300s")
    return {
        name: {side: found[side][name] for side in SIDES}
        for name in ("cpu_cores", "rss_mb", "api_requests_per_min")
    } | {"applications": counts[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["load", "watch"], nargs="?", default="load")
    parser.add_argument("side", choices=SIDES, nargs="?")
    parser.add_argument("count", type=int, nargs="?")
    parser.add_argument("--applications", default="10,100,1000")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--warm", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    if asked.part == "watch":
        asyncio.run(watch(asked.side, asked.count))
        return 0
    counts = [int(count) for count in asked.applications.split(",")]
    print(json.dumps(load(counts, asked.runs, asked.warm, asked.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

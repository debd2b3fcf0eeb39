"""Streams that only seem to run: SparkApplications RUNNING, driver pods Running.

They are in their own namespace, which the Spark Operator does not watch. No scheduler assigns the
pods to a node, so no kubelet changes their status.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import yaml
from kubernetes import client

from fink_k8s.adapters.base.cluster import GROUP, PLURAL, VERSION, Cluster
from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stream.stream_names import driver_pod_name, stream_name
from testbed import pins
from testbed.places import ROOT

Object = dict[str, Any]

METRICS_PORT = 4040
_CONTAINER = "spark-kubernetes-driver"
_AT_ONCE = 4
_GONE_SECONDS = 300


def stream_of(number: int) -> str:
    """Return the name of the stream with that number: one for each night."""
    return stream_name("ztf", _night_of(number))


@contextmanager
def namespace(api: client.ApiClient, name: str) -> Iterator[None]:
    """Create a namespace in which Airflow's account may watch; delete it with all its objects."""
    cluster = Cluster(api)
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        account = (ROOT / "include/kubernetes/airflow-account.yaml").read_text()
        for manifest in yaml.safe_load_all(account):
            if manifest["kind"] != "ServiceAccount":
                manifest["metadata"]["namespace"] = name
                cluster.apply(manifest)
        yield
    finally:
        cluster.delete("Namespace", name)
        deadline = time.monotonic() + _GONE_SECONDS
        while cluster.find("Namespace", name) and time.monotonic() < deadline:
            time.sleep(1)


def make_streams(api: client.ApiClient, namespace: str, numbers: range) -> None:
    """Create the streams with these numbers, as running ones."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(lambda number: _make_stream(api, namespace, number), numbers):
            pass


def _make_stream(api: client.ApiClient, namespace: str, number: int) -> None:
    cluster, pods = Cluster(api), client.CoreV1Api(api)
    applications = client.CustomObjectsApi(api)
    application, pod = _application(namespace, number), _pod(namespace, number)
    cluster.create(application)
    cluster.create(pod)
    pods.patch_namespaced_pod_status(pod["metadata"]["name"], namespace, _pod_status())
    name = application["metadata"]["name"]
    applications.patch_namespaced_custom_object_status(
        GROUP, VERSION, namespace, PLURAL, name, _application_status(name)
    )


def _night_of(number: int) -> str:
    return f"{date(2001, 1, 1) + timedelta(days=number):%Y%m%d}"


def _metadata(namespace: str, name: str, number: int) -> Object:
    labels = labels_of("ztf", _night_of(number))
    return {"name": name, "namespace": namespace, "labels": labels}


def _application(namespace: str, number: int) -> Object:
    pod = {"cores": 1, "memory": "1g"}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "SparkApplication",
        "metadata": _metadata(namespace, stream_of(number), number),
        "spec": {
            "type": "Python",
            "mode": "cluster",
            "image": "none",
            "sparkVersion": pins.SPARK,
            "mainApplicationFile": "local:///none.py",
            "driver": pod,
            "executor": {**pod, "instances": 1},
        },
    }


def _application_status(name: str) -> Object:
    return {
        "status": {
            "applicationState": {"state": "RUNNING"},
            "driverInfo": {"podName": driver_pod_name(name)},
            "executionAttempts": 1,
            "submissionAttempts": 1,
            "lastSubmissionAttemptTime": _now(),
            "terminationTime": None,
        }
    }


def _pod(namespace: str, number: int) -> Object:
    container = {
        "name": _CONTAINER,
        "image": "none",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    metadata = _metadata(namespace, driver_pod_name(stream_of(number)), number)
    metadata["labels"]["spark-role"] = "driver"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"schedulerName": "nobody", "containers": [container]},
    }


def _pod_status() -> Object:
    """Return the status of a running driver, with `stand_in.serving` as its UI."""
    running = {
        "name": _CONTAINER,
        "image": "none",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": _now()}},
    }
    return {
        "status": {
            "phase": "Running",
            "podIP": pins.BRIDGE_ADDRESS,
            "podIPs": [{"ip": pins.BRIDGE_ADDRESS}],
            "startTime": _now(),
            "containerStatuses": [running],
        }
    }


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

"""Volumes for claims on a node without provisioner: a folder that host and pods see alike."""

import json
import os
from contextlib import contextmanager

from testbed.places import DATA
from tests.e2e.driving import NAMESPACE, kubectl

SPARK_UID = 185


@contextmanager
def volume(claim, size="2Gi", mode="ReadWriteOnce"):
    """Give `claim`, and no other, a volume to bind to; yield its folder on this host."""
    folder = DATA / "claims" / claim
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, SPARK_UID, SPARK_UID)
    manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"fink-{claim}"},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": [mode],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"namespace": NAMESPACE, "name": claim},
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    try:
        yield folder
    finally:
        kubectl("delete", "pvc", claim, "--ignore-not-found", "--wait=false")
        kubectl("delete", "pv", f"fink-{claim}", "--ignore-not-found", "--wait=false")


def phase(claim):
    """Return the claim's phase, e.g. `Bound`; empty where there is none."""
    return kubectl("get", "pvc", claim, "--ignore-not-found", "-o", "jsonpath={.status.phase}")

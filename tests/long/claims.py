"""Volumes for claims on a node without provisioner: a folder that host and pods see alike."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.places import DATA
from tests.e2e.driving import NAMESPACE, kubectl

SPARK_UID = 185


@contextmanager
def volume(claim: str, size: str = "2Gi") -> Iterator[Path]:
    """Give `claim`, and no other, an empty volume to bind to; yield its folder on this host."""
    folder = DATA / "claims" / claim
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chown(folder, SPARK_UID, SPARK_UID)
    manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"fink-{claim}"},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"namespace": NAMESPACE, "name": claim},
        },
    }
    delete_claim(claim)
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    try:
        yield folder
    finally:
        delete_claim(claim)
        shutil.rmtree(folder, ignore_errors=True)


def delete_claim(claim: str) -> None:
    """Take the claim and its volume away; the pods that used it must be gone."""
    kubectl("delete", "pvc", claim, "--ignore-not-found", "--wait=true", "--timeout=90s")
    kubectl("delete", "pv", f"fink-{claim}", "--ignore-not-found", "--wait=true", "--timeout=90s")


def claim_named(claim: str) -> dict:
    """Return the claim as the API server has it."""
    return json.loads(kubectl("get", "pvc", claim, "-o", "json"))

"""The doctor on the real systems of the testbed: what is well, and a line for what is not."""

import itertools
import subprocess
import sys

import pytest

from testbed.airflow import ROOT, Airflow

pytestmark = pytest.mark.testbed
DOCTOR = ROOT / "include/fink_k8s/doctor.py"


@pytest.fixture(scope="module")
def variables(environment, tmp_path_factory):
    """The environment of a component; no Airflow listens at its port."""
    return Airflow(tmp_path_factory.mktemp("airflow"), port=8099).variables()


def missing_in(variables):
    done = subprocess.run(
        [sys.executable, DOCTOR], env=variables, capture_output=True, text=True, timeout=200
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    found = {}
    for line, remedy in itertools.pairwise(lines):
        if line.startswith("missing"):
            name, _, text = line.removeprefix("missing").strip().partition(": ")
            assert remedy.strip().startswith("fix it: "), line
            found[name] = f"{text} {remedy.strip()}"
    return found


def test_where_all_but_airflow_is_up_airflow_alone_is_missing(variables):
    assert set(missing_in(variables)) == {"components"}


@pytest.mark.shows("docs/from-the-command-line.md#airflow")
def test_each_thing_that_is_away_is_named_and_hides_no_other(variables):
    broken = {
        "FINK_KAFKA_SERVERS": "10.244.0.201:9099",
        "FINK_IMAGE_BASE": "localhost:5000/fink/base:none",
        "FINK_SPARK_URL": "file:///no/such/archive.tgz",
        "FINK_STORE_PREFIX": "s3a://no-such-bucket",
        "AIRFLOW_CONN_KUBERNETES_ADMIN": variables["AIRFLOW_CONN_KUBERNETES_DEFAULT"],
        "DOCKER_HOST": "unix:///no/such/docker.sock",
    }
    found = missing_in({**variables, **broken})
    named = {"Kafka", "image base", "Spark archive", "fink_store", "kubernetes_admin"}
    assert set(found) == {*named, "docker_default", "components"}
    assert "FINK_KAFKA_SERVERS" in found["Kafka"]
    assert "no-such-bucket" in found["fink_store"]
    assert "forbidden" in found["kubernetes_admin"]
    assert "DOCKER_SOCKET" in found["docker_default"]

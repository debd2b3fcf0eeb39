"""`fink_stop` as one triggers it: a stream with alerts flowing is ended, and seen to be gone."""

import subprocess
import sys
import time

import pytest

from tests.e2e.driving import DEPLOY, ROOT, drivers, kubectl, unused_night

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(600)]

STOP = "fink_stop"
NIGHT = unused_night(4)
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"stop_{time.time():.0f}"


@pytest.fixture(scope="module")
def flowing():
    """Send alerts all the time."""
    command = [sys.executable, "-m", "testbed.alerts", "--topic", TOPIC]
    command += ["--count", "20000", "--rate", "50"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield process
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def running(fink, flowing):
    """A stream that stores alerts; it is gone at the end, whatever became of the test."""
    run = fink.run(
        DEPLOY, night=NIGHT, topic=TOPIC, trigger_interval_s=3, skip=["preflight", "healthy"]
    )
    assert run.state == "success"
    yield run
    kubectl("delete", "sparkapplication", STREAM, "--ignore-not-found")


def test_an_empty_form_stops_nothing_and_says_what_it_lacks(fink, running):
    run = fink.run(STOP)
    assert run.states()["stop.find_streams"] == "failed"
    assert "enter streams, or night" in run.log("stop.find_streams")
    assert {run.states()[f"stop.{task}"] for task in ("report", "diagnose_left")} == {"skipped"}
    assert drivers(STREAM)


def test_only_looking_names_the_stream_and_leaves_it(fink, running):
    run = fink.run(STOP, all_streams=True, dry_run=True)
    assert run.state == "success"
    assert f"{STREAM}: SparkApplication {STREAM} (RUNNING)" in run.log("stop.find_streams")
    assert run.xcom("stop.report") == []
    assert "deletionTimestamp" not in drivers(STREAM)[0]["metadata"]


@pytest.mark.shows("docs/from-the-command-line.md#stop")
def test_a_night_ends_gracefully_while_alerts_flow(fink, flowing, running, store):
    assert flowing.poll() is None
    before = store.committed(NIGHT)[-1]
    run = fink.run(STOP, night=NIGHT, surveys=["ztf"])
    assert run.state == "success"
    [line] = run.xcom("stop.report")
    assert line.startswith(f"{STREAM}: was RUNNING, ended gracefully")
    assert "(exit code 0, its last message: ended: asked to)" in line
    assert "2 Pod, 2 Service, 1 SparkApplication" in line
    assert flowing.poll() is None
    committed = store.committed(NIGHT)
    assert committed[-1] > before
    assert store.planned(NIGHT)[-1] == committed[-1]
    counts = store.counts(NIGHT)
    assert counts.is_complete
    assert f"Its last batch, {committed[-1]}, is committed." in line
    assert "Kept: data s3a://" in line
    assert f"{counts.read} read = {counts.stored} stored" in line
    left = kubectl("get", "sparkapplications,pods,services,configmaps", "-o", "yaml")
    assert STREAM not in left


def test_a_second_stop_finds_it_already_so(fink, running):
    run = fink.run(STOP, streams=[STREAM])
    assert run.state == "success"
    [line] = run.xcom("stop.report")
    assert "nothing to stop, it does not exist" in line
    assert "Kept: data s3a://" in line

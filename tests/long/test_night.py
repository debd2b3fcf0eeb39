"""What may happen in a night: to Airflow, to the driver, to Kafka, to the API server, by a person.

Each night is followed to its end: green because it was verified, one driver at all times.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path

import docker
import psutil
import pytest

from fink_k8s.core.stream.restarts import HEALTHY_SPAN
from fink_k8s.core.stream.stream_names import pod_selector
from testbed.pins import KAFKA_ADDRESS, KAFKA_PORT
from testbed.places import ROOT
from testbed.process import group_members, processes_with, recorded_in
from tests.e2e.driving import DEPLOY, application, drivers, kubectl
from tests.e2e.night import (
    NIGHT_DAG,
    DriverCount,
    Night,
    form_of,
    kill_driver,
    wait_until_committed,
)
from tests.long.faults import freeze_pod

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
]
MORTAL = "/opt/fink/mortal/mortal_job.py"
OF_MORTAL = {"main_file": MORTAL, "schema_file": "stream2raw/schemas/ztf_3p3.avsc"}
KAFKA = KAFKA_ADDRESS, KAFKA_PORT
MINUTE = int(time.time()) // 60


@pytest.fixture(scope="module", autouse=True)
def image(fink):
    """The night submits an image that is there."""
    assert fink.run("fink_rbac").state == "success"
    assert fink.run("fink_image").state == "success"


@pytest.fixture
def mortal(image, environment, settings, release, tmp_path):
    """Push an image whose query dies when it is told to; return its tag."""
    engine, tag = docker.APIClient(environment["DOCKER_HOST"]), f"mortal-{time.time():.0f}"
    image = settings.image_repository
    shutil.copy(Path(__file__).with_name("mortal_job.py"), tmp_path)
    recipe = f"FROM {image}:{release.tag}\nCOPY mortal_job.py {MORTAL}\n"
    (tmp_path / "Dockerfile").write_text(recipe)
    said = list(engine.build(path=str(tmp_path), tag=f"{image}:{tag}", decode=True))
    said += engine.push(image, tag, stream=True, decode=True)
    assert not [line for line in said if "error" in line], said
    return tag


@pytest.fixture
def scene(request, fink):
    """A night and a topic of this test's own, with alerts in it."""
    tests = [one for one in request.session.items if one.module is request.module]
    nth = tests.index(request.node)
    # Half of the years away from those that test_causes.py takes in the same minute.
    night = f"{date(2000, 1, 1) + timedelta(days=(20 * MINUTE + 1800 + nth) % 3600):%Y%m%d}"
    topic = f"long_night_{time.time():.0f}"
    fink.produce(topic, 100)
    stream = f"stream2raw-ztf-{night}"
    yield night, topic, stream
    kubectl("delete", "sparkapplication", stream, "--ignore-not-found")
    # A driver of plain spark-submit has no application to go with.
    kubectl("delete", "pods", "--selector", pod_selector(stream))


def watched(fink, store, form):
    """Return a night that is watched, and whose first alerts are stored."""
    night = Night(fink, form)
    night.wait_for("watch_until_end", "deferred")
    wait_until_committed(store, form["night"])
    return night


def verified(night, alerts):
    """Check that the night ended by itself, and that each alert is stored once."""
    assert night.end() == "success"
    counts = night.xcom("verify_night")["counts"]
    assert (counts["read"], counts["stored"]) == (alerts, alerts)
    return counts


def processes(airflow, words):
    group, _ = recorded_in(airflow.home / "standalone.pid")
    found = []
    for process in group_members(group):
        with contextlib.suppress(psutil.NoSuchProcess):
            said = " ".join(process.cmdline())
            if any(word in said for word in words):
                found.append(process.pid)
    assert found, words
    return found


@pytest.fixture
def killed(airflow):
    """Kill a component of Airflow as a machine would, and have another one there after a while."""
    spares = []

    @contextlib.contextmanager
    def kill(component, *parts):
        for pid in processes(airflow, [f"airflow {component}", *parts]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        yield
        with airflow.log.open("ab") as log:
            spares.append(
                subprocess.Popen(
                    [str(ROOT / ".venv/bin/airflow"), component],
                    env=airflow.variables(),
                    cwd=airflow.home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        deadline = time.monotonic() + 90
        while not airflow.is_healthy():
            assert time.monotonic() < deadline
            time.sleep(1)

    yield kill
    # The others of this module go on with an Airflow that is whole.
    for spare in spares:
        os.killpg(spare.pid, signal.SIGTERM)
        spare.wait(60)
    if spares:
        airflow.stop()
        airflow.start()


def test_whatever_happens_to_airflow_the_stream_goes_on(
    killed, fink, store, scene, record_property
):
    """The triggerer, then the scheduler with its workers, are killed; the task is cleared."""
    night, topic, stream = scene
    with DriverCount(stream) as count:
        run = watched(fink, store, form_of(night, topic, seconds=240))
        uid = application(stream)["metadata"]["uid"]
        with killed("triggerer"):
            fink.produce(topic, 50)
            time.sleep(10)
        with killed("scheduler", "LocalExecutor", "forkserver"):
            fink.produce(topic, 50)
            time.sleep(10)
        path = f"/api/v2/dags/{NIGHT_DAG}/clearTaskInstances"
        body = {"dry_run": False, "dag_run_id": run.run_id, "task_ids": ["watch_until_end"],
                "only_failed": False, "include_downstream": False}  # fmt: skip
        fink.client._http.post(path, json=body).raise_for_status()
        run.wait_for("watch_until_end", "deferred", seconds=120)
        assert application(stream)["metadata"]["uid"] == uid
        verified(run, 200)
    record_property("drivers", len(count.uids))
    assert (count.most, len(count.uids)) == (1, 1)


def test_a_driver_that_hangs_is_replaced(fink, store, scene, record_property):
    """Its process is frozen: Kubernetes sees it run, its metrics do not answer."""
    night, topic, stream = scene
    with DriverCount(stream) as count:
        run = watched(fink, store, form_of(night, topic, seconds=240))
        time.sleep(15)  # one that was never seen alive is given its time to start
        [uid] = [driver["metadata"]["uid"] for driver in drivers(stream)]
        begun = time.monotonic()
        freeze_pod(uid)
        fink.produce(topic, 50)
        while (there := drivers(stream)) and there[0]["metadata"]["uid"] == uid:
            assert time.monotonic() - begun < 150
            time.sleep(0.5)
        record_property("the frozen driver gone after s", round(time.monotonic() - begun))
        verified(run, 150)
    assert count.most == 1
    [restart] = run.xcom("watch_until_end")["restarts"]
    record_property("back after s", restart["back_after_s"])
    assert restart["by"] == "fink"
    assert "query-dead" in restart["cause"]


def test_a_query_that_dies_under_its_driver_is_replaced(
    mortal, fink, store, scene, record_property
):
    """The driver runs on and its metrics answer; they tell of no query."""
    night, topic, stream = scene
    form = form_of(night, topic, seconds=150, image_tag=mortal, **OF_MORTAL)
    with DriverCount(stream) as count:
        run = watched(fink, store, form)
        [uid] = [driver["metadata"]["uid"] for driver in drivers(stream)]
        begun = time.monotonic()
        kubectl("exec", f"{stream}-driver", "--", "touch", "/tmp/end-the-query")
        while goes_on(stream, uid):
            assert time.monotonic() - begun < 60
            time.sleep(0.2)
        record_property("its driver ended after s", round(time.monotonic() - begun, 1))
        fink.produce(topic, 50)
        wait_until_committed(store, night, 1)
        verified(run, 150)
    assert (count.most, len(count.uids)) == (1, 2)
    [restart] = run.xcom("watch_until_end")["restarts"]
    record_property("back after s", restart["back_after_s"])
    assert restart["by"] == "fink"
    assert "query-dead" in restart["cause"]
    assert "show no live query" in restart["cause"]


def goes_on(stream, uid):
    """Tell whether nobody has asked this driver to end."""
    there = [driver["metadata"] for driver in drivers(stream)]
    return any(one["uid"] == uid and "deletionTimestamp" not in one for one in there)


def test_kafka_and_the_api_server_may_be_away_for_a_while(fink, store, scene, record_property):
    night, topic, stream = scene
    with DriverCount(stream) as count:
        run = watched(fink, store, form_of(night, topic, seconds=230))
        with cut("fink-kafka"):
            assert not answers(*KAFKA)
            time.sleep(60)
        assert answers(*KAFKA)
        fink.produce(topic, 50)
        wait_until_committed(store, night, 1)
        with count.held(), frozen("kube-apiserver"):
            with pytest.raises(AssertionError):
                kubectl("get", "pods", "--request-timeout=2s")
            time.sleep(30)
        fink.produce(topic, 50)
        verified(run, 200)
    record_property("restarts", len(run.xcom("watch_until_end")["restarts"]))
    assert count.most == 1


def test_an_upgrade_in_the_night_loses_and_doubles_nothing(
    mortal, fink, store, scene, record_property
):
    """Another image with another program, and more memory."""
    night, topic, stream = scene
    form = form_of(night, topic, seconds=200)
    with DriverCount(stream) as count:
        first = watched(fink, store, form)
        fink.produce(topic, 50)
        refused = Night(fink, {**form, "driver_memory": "1100m"})
        assert refused.end() == "failed"
        assert "is already running with another spec" in refused.log("submit.submit_application")
        image = application(stream)["spec"]["image"]
        other = {"driver_memory": "1100m", "image_tag": mortal, **OF_MORTAL}
        upgraded = Night(fink, {**form, **other, "if_differs": "upgrade"})
        upgraded.wait_for("watch_until_end", "deferred")
        assert upgraded.xcom("submit.end_other_spec")["ending"] == "graceful"
        spec = application(stream)["spec"]
        assert spec["driver"]["memory"] == "1100m"
        assert spec["mainApplicationFile"] == f"local://{MORTAL}"
        assert "@sha256:" in spec["image"] != image
        fink.produce(topic, 50)
        verified(upgraded, 200)
        assert first.end() == "success"
    record_property("gap s", round(upgraded.xcom("verify_night")["longest_gap_s"], 1))
    assert (count.most, len(count.uids)) == (1, 2)


def test_a_stream_that_cannot_start_ends_as_failed_with_its_reason(
    fink, store, scene, record_property
):
    """Its output is there, its checkpoint is not: the job refuses to start, each time."""
    night, topic, stream = scene
    run = fink.run(DEPLOY, night=night, topic=topic, trigger_interval_s=3, skip=["preflight"])
    assert run.state == "success"
    assert fink.run("fink_stop", streams=[stream]).state == "success"
    lose_checkpoint(store, night)
    begun = time.monotonic()
    with DriverCount(stream) as count:
        again = Night(fink, form_of(night, topic, seconds=800, restarts=0))
        assert again.end(seconds=800) == "failed"
    record_property("failed after s", round(time.monotonic() - begun))
    record_property("drivers", len(count.uids))
    assert count.most == 1
    assert 1 < len(count.uids) <= 6
    failed = next(task for task, state in again.states().items() if state == "failed")
    assert "[pair-broken]" in again.log(failed)
    assert again.states()["diagnose_failure"] == "success"


def test_a_stream_that_dies_each_time_is_started_again_as_often_as_the_form_says(
    fink, store, scene, record_property
):
    """No operator stands between the deaths of plain spark-submit and the night's own policy."""
    night, topic, stream = scene
    form = form_of(night, topic, seconds=600, submit_with="spark-submit", restarts=2)
    with DriverCount(stream) as count:
        run = watched(fink, store, form)
        kill_driver(stream)
        lose_checkpoint(store, night)
        begun = time.monotonic()
        assert run.end() == "failed"
    record_property("failed after s", round(time.monotonic() - begun))
    assert run.states()["watch_until_end"] == "failed"
    said = run.log("watch_until_end")
    for words in (
        "restarting it in 10 s",
        "restarting it in 20 s",
        "2 times in a row by the night DAG",
    ):
        assert words in said
    assert "[pair-broken]" in said
    assert (count.most, len(count.uids)) == (1, 3)
    assert run.states()["diagnose_failure"] == "success"


@pytest.mark.timeout(1500)
def test_a_stream_that_ran_well_for_a_while_has_its_whole_budget_again(
    fink, store, scene, record_property
):
    """Of one restart in a row: two deaths far apart are healed, a third one soon after is not."""
    night, topic, stream = scene
    form = form_of(night, topic, seconds=1400, submit_with="spark-submit", restarts=1)
    with DriverCount(stream) as count:
        run = watched(fink, store, form)
        kill_driver(stream)
        fink.produce(topic, 50)
        batch = wait_until_committed(store, night, 1)
        time.sleep(HEALTHY_SPAN.total_seconds() + 20)
        kill_driver(stream)
        fink.produce(topic, 50)
        wait_until_committed(store, night, batch + 1)
        kill_driver(stream)
        assert run.end() == "failed"
    said = run.log("watch_until_end")
    record_property("started again", said.count("restarting it in 10 s"))
    assert said.count("restarting it in 10 s") == 2
    assert "1 times in a row by the night DAG" in said
    assert (count.most, len(count.uids)) == (1, 3)


def mark_watch(run, state):
    """Mark the watch by hand, as the button in the UI does."""
    path = f"/api/v2/dags/{NIGHT_DAG}/dagRuns/{run.run_id}/taskInstances/watch_until_end"
    run.client._http.patch(path, json={"new_state": state}).raise_for_status()


@pytest.mark.parametrize("when_killed", ["leave", "stop"])
def test_a_person_who_kills_the_task_does_what_the_form_said(fink, store, scene, when_killed):
    night, topic, stream = scene
    run = watched(fink, store, form_of(night, topic, seconds=400, when_killed=when_killed))
    assert stream in fink.run("fink_health").log("report_health")
    mark_watch(run, "failed")
    assert run.end() == "failed"
    time.sleep(15)
    alive = [pod for pod in drivers(stream) if "deletionTimestamp" not in pod["metadata"]]
    assert len(alive) == (1 if when_killed == "leave" else 0)
    deadline = time.monotonic() + 150
    while when_killed == "stop" and stream in kubectl(
        "get", "sparkapplications,pods", "-o", "name"
    ):
        assert time.monotonic() < deadline
        time.sleep(1)
    looked = fink.run("fink_health")
    assert looked.state == "success"
    said = looked.log("report_health")
    assert "the application and the driver are gone" not in said, "it was asked to end"
    assert (f"{stream}: stopped as requested" in said) == (when_killed == "stop")


def test_a_person_who_marks_the_watch_as_done_ends_the_night_now(fink, store, scene):
    night, topic, _ = scene
    run = watched(fink, store, form_of(night, topic, seconds=3000))
    fink.produce(topic, 50)
    mark_watch(run, "success")
    verified(run, 150)


def test_a_driver_that_is_killed_again_and_again_is_back_each_time(
    fink, store, scene, record_property
):
    night, topic, stream = scene
    with DriverCount(stream) as count:
        run = watched(fink, store, form_of(night, topic, seconds=200))
        batch = 0
        for _ in range(3):
            kill_driver(stream)
            fink.produce(topic, 50)
            batch = wait_until_committed(store, night, batch + 1)
        verified(run, 250)
    restarts = run.xcom("watch_until_end")["restarts"]
    record_property("back after s", [restart["back_after_s"] for restart in restarts])
    assert len(restarts) == 3
    assert count.most == 1


def test_a_night_of_plain_spark_submit_heals_too(fink, store, scene, record_property):
    """No operator starts a driver of it again, and with the driver all trace of it is gone."""
    night, topic, stream = scene
    form = form_of(night, topic, seconds=360, submit_with="spark-submit")
    with DriverCount(stream) as count:
        run = watched(fink, store, form)
        kill_driver(stream)
        fink.produce(topic, 50)
        batch = wait_until_committed(store, night, 1)
        kill_driver(stream)
        # And the task's process with it, in the middle of the submission; the next try goes on.
        os.kill(process_that_submits(stream), signal.SIGKILL)
        fink.produce(topic, 50)
        wait_until_committed(store, night, batch + 1)
        verified(run, 200)
    tries = run.client.tasks(NIGHT_DAG, run.run_id)
    assert {one["task_id"]: one["try_number"] for one in tries}["watch_until_end"] > 1
    restarts = run.xcom("verify_night")["restarts"]
    record_property("back after s", [restart["back_after_s"] for restart in restarts])
    assert [restart["by"] for restart in restarts] == ["fink", "fink"]
    # Seen to be deleted, or missing for a minute: it may have gone between two looks.
    assert all("deleted" in restart["cause"] for restart in restarts)
    assert (count.most, len(count.uids)) == (1, 3)


def process_that_submits(stream):
    """Return the task's process of which spark-submit for this stream is a child."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        for process in processes_with("org.apache.spark.deploy.SparkSubmit"):
            with contextlib.suppress(psutil.NoSuchProcess):
                if stream in process.info["cmdline"]:
                    return process.ppid()
        time.sleep(0.1)
    raise AssertionError(f"nobody submits {stream}")


def answers(host, port):
    """Tell whether somebody takes a connection there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


@contextlib.contextmanager
def cut(link):
    """Cut a test host of the testbed off the network."""
    subprocess.run(["ip", "link", "set", link, "down"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "set", link, "up"], check=True)


@contextlib.contextmanager
def frozen(program):
    """Let a program of the testbed's cluster answer nobody."""
    pid = int(Path(f"/run/fink-testbed/pids/{program}").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def lose_checkpoint(store, night):
    from pyarrow import fs

    folder = store._path(f"{store._prefix}/raw_checkpoint/{night}")
    for info in store._files.get_file_info(fs.FileSelector(folder, recursive=True)):
        if info.is_file:
            store._files.delete_file(info.path)

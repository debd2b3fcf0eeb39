"""`fink_health` run by run: what it says of each stream, whom it tells, and when it is red."""

import json
import threading
import time
from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import AirflowFailException

from fink_k8s.core.base.errors import NotPermitted, Unavailable
from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stream.stream_names import parse_stream_name
from fink_k8s.glue.health import health_notes
from fink_k8s.glue.health import health_stage as stage
from fink_k8s.glue.health.health_notes import note_stop
from fink_k8s.glue.stop import stop_stage
from tests.fakes import FakeAssetState, FakeCluster, driver_pod

STREAM, OTHER = "stream2raw-ztf-20250101", "stream2raw-lsst-20250102"
LIVE = {"gauges": {"app.driver.spark.streaming.q.inputRate-total": {"value": 5.0}}}
CANARY = "c4n4ry-0f-a-secret"


def application(name, state):
    labels = labels_of(*parse_stream_name(name))
    return {
        "kind": "SparkApplication",
        "metadata": {"name": name, "namespace": "spark", "labels": labels, "uid": name},
        "spec": {"arguments": ["-topic", "alerts", "-servers", "kafka:9092"]},
        "status": {"applicationState": {"state": state}},
    }


@pytest.fixture
def state(monkeypatch):
    state = FakeAssetState()
    monkeypatch.setattr(health_notes, "get_current_context", lambda: {"asset_state_store": state})
    return state


@pytest.fixture
def cluster(monkeypatch, tmp_path, state):
    cluster = FakeCluster()
    cluster.metrics = LIVE
    monkeypatch.setattr(stage, "cluster", lambda: cluster)
    monkeypatch.setattr(stop_stage, "cluster", lambda: cluster)
    monkeypatch.setattr(stage, "store_secrets", lambda: [CANARY])
    monkeypatch.setenv("FINK_DIAGNOSIS_DIR", str(tmp_path))
    return cluster


@pytest.fixture(autouse=True)
def form(monkeypatch):
    def fill(module=stage, **values):
        monkeypatch.setattr(module, "request_of", lambda model: model(**values))

    fill()
    return fill


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """What people were told; `told.takes` says whether it reaches them."""

    class Told(list):
        takes = True

        def __call__(self, message):
            self.append(message)
            return self.takes

    told = Told()
    monkeypatch.setattr(stage, "notify", told)
    return told


def run():
    return stage.report_health.function.__wrapped__()


def put(cluster, stream, state, phase=None):
    cluster.put(application(stream, state))
    driver = driver_pod(stream, phase) if phase else None
    others = [pod for pod in cluster.all_pods if pod["metadata"]["name"] != f"{stream}-driver"]
    cluster.all_pods = [*others, *([driver] if driver else [])]


def levels(result):
    return {line["stream"]: line["level"] for line in result}


def test_each_stream_is_a_line_and_nothing_is_told_of_those_that_are_well(cluster, told, capsys):
    put(cluster, STREAM, "RUNNING", "Running")
    put(cluster, OTHER, "COMPLETED")
    for _ in range(3):
        assert levels(run()) == {STREAM: "well", OTHER: "ended"}
    assert told == []
    said = capsys.readouterr().out
    assert f"{STREAM}: well; RUNNING, driver Running, 5.0 alerts/s, lag unknown" in said
    assert "the API server answers; streams in namespace spark: 2" in said
    json.dumps(run())


def test_one_that_dies_is_told_once_with_its_line_and_its_bundle(cluster, told, tmp_path):
    put(cluster, STREAM, "RUNNING", "Running")
    run()
    put(cluster, STREAM, "FAILED", "Failed")
    cluster.log = f"java.lang.Error: secret.key={CANARY}"
    for _ in range(3):
        assert levels(run()) == {STREAM: "dead"}
    [message] = told
    assert message.title == "Fink: 1 worse"
    first, second = message.body.splitlines()
    assert first.startswith(f"worse: {STREAM}: dead; FAILED, driver Failed")
    assert "[driver-failed]" in first
    address = second.removeprefix("bundle: ")
    assert address.startswith(str(tmp_path))
    report = (tmp_path / address / "report.md").read_text()
    assert "[driver-failed]" in report
    assert CANARY not in message.body + report
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_one_that_is_well_again_is_told_once(cluster, told):
    put(cluster, STREAM, "FAILED", "Failed")
    run()
    put(cluster, STREAM, "RUNNING", "Running")
    for _ in range(4):
        run()
    assert [message.title for message in told] == ["Fink: 1 worse", "Fink: 1 better"]
    assert told[1].body.endswith("; it was dead")
    assert "bundle" not in told[1].body
    assert [message.tone for message in told] == ["failure", "success"]


def test_many_changes_are_one_message(cluster, told):
    for night in range(20250101, 20250121):
        put(cluster, f"stream2raw-ztf-{night}", "FAILED", "Failed")
    run()
    [message] = told
    assert message.title == "Fink: 20 worse"
    assert len(message.body.splitlines()) == 40


def test_what_nobody_took_is_told_by_the_next_run_and_kept_in_one_bundle(cluster, told, tmp_path):
    put(cluster, STREAM, "FAILED", "Failed")
    told.takes = False
    run()
    run()
    told.takes = True
    run()
    run()
    assert len(told) == 3
    assert told[0].body == told[1].body == told[2].body
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_a_bundle_that_nobody_takes_hinders_no_message(cluster, told, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FINK_DIAGNOSIS_DIR", str(tmp_path / "file"))
    put(cluster, STREAM, "FAILED", "Failed")
    run()
    assert told[0].body.startswith("worse: ")
    assert "bundle" not in told[0].body


@pytest.mark.parametrize(
    "error", [NotPermitted("pods is forbidden"), Unavailable("away"), OSError("no kubeconfig")]
)
def test_where_nothing_can_be_looked_at_it_is_red_and_that_is_told_once(
    cluster, told, monkeypatch, error
):
    put(cluster, STREAM, "RUNNING", "Running")
    run()

    def refuse(*words):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(cluster, "find_all", refuse)
        for _ in range(4):
            with pytest.raises(AirflowFailException, match=f"no stream can be checked: {error}"):
                run()
    assert [message.title for message in told] == ["Fink: 1 worse"]
    # What could not be seen was not taken for gone.
    for _ in range(3):
        assert levels(run()) == {STREAM: "well"}
    assert [message.title for message in told][1:] == ["Fink: 1 better"]


def test_a_connection_that_is_not_there_is_red(cluster, told, monkeypatch):
    def missing():
        raise AirflowFailException("no connection kubernetes_default")

    monkeypatch.setattr(stage, "cluster", missing)
    with pytest.raises(AirflowFailException, match="no connection kubernetes_default"):
        run()


def test_a_list_that_does_not_come_is_not_waited_for(cluster, monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr(stage, "LIST_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "find_all", lambda *words: stop.wait(30))
    begun = time.monotonic()
    with pytest.raises(AirflowFailException, match="no answer within"):
        run()
    stop.set()
    assert time.monotonic() - begun < 5


def test_one_that_does_not_answer_is_said_and_the_others_are_seen(cluster, monkeypatch, told):
    stop = threading.Event()
    for stream in (STREAM, OTHER):
        put(cluster, stream, "RUNNING", "Running")
    metrics = cluster.driver_metrics

    def slow(namespace, pod):
        if pod.startswith(STREAM):
            stop.wait(30)
        return metrics(namespace, pod)

    monkeypatch.setattr(stage, "LOOK_SECONDS", 1)
    monkeypatch.setattr(cluster, "driver_metrics", slow)
    begun = time.monotonic()
    result = run()
    stop.set()
    assert time.monotonic() - begun < 10
    assert levels(result) == {STREAM: "unknown", OTHER: "well"}
    line = next(one["text"] for one in result if one["stream"] == STREAM)
    assert "RUNNING, driver Running" in line
    assert "no answer: the full look" in line
    assert told == []


def test_one_that_vanished_is_told_and_one_that_was_stopped_is_not(cluster, told):
    for stream in (STREAM, OTHER):
        put(cluster, stream, "RUNNING", "Running")
    run()
    note_stop("spark", [OTHER], datetime.now(UTC))
    cluster.objects.clear()
    cluster.all_pods = []
    for _ in range(3):
        assert run() == []
    [message] = told
    assert message.body.startswith(
        f"worse: {STREAM}: dead; the application and the driver are gone"
    )
    assert OTHER not in message.body


def test_only_looking_with_fink_stop_excuses_nothing(cluster, told, form, state):
    put(cluster, STREAM, "RUNNING", "Running")
    form(stop_stage, all_streams=True, dry_run=True)
    stop_stage.find_streams.function.__wrapped__()
    assert state == {}


def test_a_stop_does_not_fail_because_it_cannot_be_noted(monkeypatch, caplog):
    monkeypatch.setattr(health_notes, "get_current_context", dict)
    note_stop("spark", [STREAM], datetime.now(UTC))
    assert "fink_health will report a vanished stream" in caplog.text


def test_a_test_message_is_sent_whatever_is_seen(cluster, told, form):
    put(cluster, STREAM, "RUNNING", "Running")
    form(send_test=True)
    run()
    [message] = told
    assert message.title == "Fink: test message from fink_health"
    assert f"{STREAM}: well" in message.body


def test_a_board_of_another_version_begins_anew(cluster, state, told, caplog):
    state.set("board/spark", {"streams": {STREAM: {"seen": "dancing"}}})
    put(cluster, STREAM, "RUNNING", "Running")
    run()
    assert told == []
    assert "starting with an empty one" in caplog.text
    assert STREAM in state.get("board/spark")["streams"]


def test_each_namespace_has_a_board_of_its_own(cluster, state, told, monkeypatch):
    put(cluster, STREAM, "RUNNING", "Running")
    run()
    monkeypatch.setenv("FINK_NAMESPACE", "elsewhere")
    run()
    assert told == []
    assert {"board/spark", "board/elsewhere"} <= set(state)


def test_without_the_operator_streams_are_seen_by_their_drivers(cluster, told):
    cluster.all_pods = [driver_pod(STREAM, "Running", by_operator=False)]
    assert levels(run()) == {STREAM: "well"}
    cluster.all_pods = [driver_pod(STREAM, "Failed", by_operator=False)]
    run()
    assert told[0].title == "Fink: 1 worse"


def test_a_stop_by_a_trigger_is_noted_too(monkeypatch, state):
    """It has no context of its task: it asks the asset's own accessor."""

    class Accessor:
        def __init__(self, name):
            assert name == "fink_health"

        def set(self, key, value):
            state.set(key, value)

    monkeypatch.setattr(health_notes, "AssetStateStoreAccessor", Accessor)
    before = datetime.now(UTC)
    health_notes.note_stop_by_trigger("spark", STREAM, datetime.now(UTC))
    assert health_notes.HealthNotes("spark").asked(STREAM) >= before


def test_a_stop_that_a_trigger_cannot_note_is_done_all_the_same(monkeypatch, caplog):
    class Accessor:
        def __init__(self, name):
            raise RuntimeError("no supervisor")

    monkeypatch.setattr(health_notes, "AssetStateStoreAccessor", Accessor)
    health_notes.note_stop_by_trigger("spark", STREAM, datetime.now(UTC))
    assert "will report a vanished stream: no supervisor" in caplog.text

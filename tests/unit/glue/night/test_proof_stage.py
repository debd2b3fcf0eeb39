from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from fink_k8s.adapters.kafka import broker
from fink_k8s.adapters.night import night_reading
from fink_k8s.core.base.errors import OutOfSight, Unavailable
from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.glue.base.assets import RAW_NIGHTS
from fink_k8s.glue.base.links import NightReportLink
from fink_k8s.glue.night import proof_stage as verifying
from fink_k8s.glue.night import report_stage as reporting
from fink_k8s.glue.night.proof_stage import verify_night
from fink_k8s.glue.night.report_stage import report_night
from tests.facts import END, START, facts_of, partition

STREAM = "stream2raw-ztf-20260101"
NIGHT = {
    "stream": STREAM, "topic": "ztf_public_20260101", "start": START.isoformat(),
    "end": END.isoformat(), "zone": "", "expected": None, "adopted": False,
    "watched": None, "drained": None, "stopped": None, "require_proof": True,
}  # fmt: skip


class Run:
    """A run of the DAG: its XComs, its form, its asset events, and the window that was asked."""

    def __init__(self):
        self.kept, self.params, self.window = {}, {}, None
        self.events = {RAW_NIGHTS: SimpleNamespace(extra=None)}
        self.answer = facts_of(STREAM)

    def look_back(self, window, open_store, arrivals, prefix):
        self.window = window
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def xcom_push(self, key, value):
        self.kept[key] = value

    def xcom_pull(self, task_ids, key):
        assert task_ids == "verify_night"
        return self.kept.get(key)

    @property
    def context(self):
        return {"ti": self, "params": self.params, "outlet_events": self.events}

    @property
    def extra(self):
        return self.events[RAW_NIGHTS].extra


@pytest.fixture
def run(monkeypatch):
    run = Run()
    for stage in (verifying, reporting):
        monkeypatch.setattr(stage, "get_current_context", lambda: run.context)
    monkeypatch.setattr(night_reading, "read_night", run.look_back)
    monkeypatch.setattr(broker, "Arrivals", lambda servers, topic: (servers, topic))
    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    monkeypatch.setenv("FINK_STORE_PREFIX", "s3a://fink")
    return run


def verify(**changes):
    return verifying.verify.function(**(NIGHT | changes))


def test_a_complete_night_passes_and_tells_whoever_waits_for_it(run, capsys):
    told = verify()
    assert NightFacts.model_validate(told) == run.answer
    assert run.kept["facts"] == told
    assert run.extra == run.answer.as_extra()
    assert run.extra["verified"] is True
    assert capsys.readouterr().out.startswith("ztf night 20260101: 1,234 alerts read")


def test_what_the_other_tasks_saw_is_in_the_facts(run):
    restart = {"at": END.isoformat(), "cause": "out of memory", "by": "fink", "back_after_s": 9}
    told = verify(
        adopted=True,
        watched={"restarts": [restart]},
        drained={"lag": 0, "waited_s": 300, "is_drained": True},
        stopped={"line": "ended gracefully"},
    )
    assert told["restarts"][0]["cause"] == "out of memory"
    assert (told["stop"], told["adopted"]) == ("ended gracefully", True)
    # What came while it was drained belongs to the night.
    assert run.window.until == END + timedelta(seconds=300)


def test_a_watch_that_was_marked_as_done_has_ended_the_night_when_the_drain_began(run):
    """Alerts that come later, before the planned end, are not this night's to have read."""
    ended = END - timedelta(hours=2)
    verify(drained={"waited_s": 60, "is_drained": True, "ended_at": ended.isoformat()})
    assert (run.window.end, run.window.until) == (ended - timedelta(seconds=60), ended)


def test_an_incomplete_night_fails_for_good_with_the_sentence_and_keeps_the_facts(run):
    run.answer = facts_of(STREAM, offsets=(partition(0, 0, 1234, due=1240, high=1240),))
    with pytest.raises(AirflowFailException, match="NOT VERIFIED: 6 alerts of the night"):
        verify()
    assert run.kept["facts"]["stream"] == STREAM
    assert run.extra is None


@pytest.mark.parametrize("asked", [True, None])
def test_a_night_that_nobody_counted_is_not_green_unless_that_is_asked_for(run, asked):
    run.answer = facts_of(STREAM, counts=None, unseen="FINK_STORE_MOUNT is not set")
    with pytest.raises(AirflowFailException, match=r"FINK_STORE_MOUNT.*require_proof to false"):
        verify(require_proof=asked)
    assert run.extra is None


def test_a_night_that_may_pass_unproved_says_that_it_is(run, capsys):
    run.answer = facts_of(STREAM, counts=None, unseen="FINK_STORE_MOUNT is not set")
    verify(require_proof=False)
    assert "NOT VERIFIED" in capsys.readouterr().out
    assert run.extra["verified"] is False


def test_a_night_with_holes_does_not_pass_because_no_proof_is_required(run):
    run.answer = facts_of(STREAM, broken=("part-0.parquet: it is not there",))
    with pytest.raises(AirflowFailException, match="part-0"):
        verify(require_proof=False)


def test_a_broker_or_store_that_is_away_is_tried_again(run):
    run.answer = Unavailable("Kafka at kafka:9092 does not answer")
    with pytest.raises(AirflowException, match="kafka:9092") as raised:
        verify()
    assert not isinstance(raised.value, AirflowFailException)
    assert "facts" not in run.kept


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "yesterday"}, "start 'yesterday' is not a valid time"),
        ({"end": None}, "end None is not a valid time"),
        (
            {"end": "2026-01-02T04:00:00"},
            "end '2026-01-02T04:00:00' has no time zone; enter a time like ",
        ),
    ],
)
def test_a_window_without_zone_is_refused(run, changes, words):
    with pytest.raises(AirflowFailException, match=words):
        verify(**changes)


@pytest.mark.parametrize(
    ("topic", "offsets", "is_own"),
    [
        ("ztf_public_20260101", None, True),
        ("ztf_public_20260101", "earliest", True),
        ("ztf_public_20260101", "latest", False),
        ("ztf_public_20260102", None, False),
    ],
)
def test_the_nights_own_topic_is_expected_to_be_read_from_its_first_alert(
    run, topic, offsets, is_own
):
    run.params["starting_offsets"] = offsets
    verify(topic=topic, expected={"0": 7})
    assert run.window.is_own_topic is is_own
    assert run.window.expected == {0: 7}


def report(stream=STREAM):
    return reporting.report.function(stream=stream, verified="verify_night")


@pytest.fixture
def kept(run, monkeypatch, tmp_path):
    def away(settings):
        raise OutOfSight("FINK_STORE_MOUNT is not set")

    monkeypatch.setattr(reporting, "store", away)
    monkeypatch.setenv("FINK_DIAGNOSIS_DIR", str(tmp_path))
    return tmp_path / f"reports/{STREAM}"


def test_the_report_is_written_and_shown(run, kept, capsys):
    verify()
    told = report()
    out = capsys.readouterr().out
    assert (kept / "report.md").read_text() in out
    assert told["address"] == str(kept)
    assert out.splitlines()[-1] == told["sentence"]
    assert "/fink/nights/stream2raw-ztf-20260101" in out


def test_an_incomplete_night_has_its_report_too(run, kept):
    run.answer = facts_of(STREAM, broken=("part-0.parquet: it is not there",))
    with pytest.raises(AirflowFailException):
        verify()
    assert report()["verified"] is False
    assert "NOT VERIFIED" in (kept / "report.md").read_text()


def test_without_facts_there_is_nothing_to_report(run, kept):
    with pytest.raises(AirflowSkipException, match="verify_night recorded no facts"):
        report(stream="")
    assert not kept.exists()


def test_a_report_that_cannot_be_kept_is_tried_again(run, kept, monkeypatch):
    verify()
    kept.parent.write_text("a file where a folder is due")
    with pytest.raises(AirflowException, match="FINK_DIAGNOSIS_DIR"):
        report()


@pytest.fixture(scope="module")
def tasks():
    @task
    def plan():
        return NIGHT

    @dag(schedule=None)
    def night():
        planned = plan()
        report_night(verify_night(planned["stream"], planned["topic"], START, END))

    return night().task_dict


def test_the_report_follows_the_verification_alone_and_does_not_change_the_runs_state(tasks):
    reported = tasks["report_night"]
    assert reported.upstream_task_ids == {"verify_night"}
    assert reported.trigger_rule == TriggerRule.ONE_DONE
    assert reported.is_teardown
    assert not reported.on_failure_fail_dagrun
    assert tasks["verify_night"].outlets == [RAW_NIGHTS]
    assert tasks["verify_night"].upstream_task_ids == {"plan"}


def test_both_tasks_lead_to_the_report(tasks):
    for one in ("verify_night", "report_night"):
        (link,) = tasks[one].operator_extra_links
        assert isinstance(link, NightReportLink)
    rendered = SimpleNamespace(op_kwargs={"stream": STREAM})
    assert NightReportLink().get_link(rendered, ti_key=None) == f"/fink/nights/{STREAM}"


def test_the_streams_name_reaches_the_report_also_of_a_night_that_was_not_verified(tasks):
    stream = tasks["report_night"].op_kwargs["stream"]
    run = Run()
    assert stream.resolve({"ti": run}) == ""
    run.xcom_push("facts", {"stream": STREAM})
    assert stream.resolve({"ti": run}) == STREAM

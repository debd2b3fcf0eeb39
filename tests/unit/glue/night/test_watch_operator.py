"""A night's stream is watched, started again where it died, and drained; never doubled."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from fink_k8s.adapters.stream.streams import Submission, Way
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.night.restart_log import UNSEEN
from fink_k8s.core.stream.manifests import canonical_json, hash_of, make_spark_application
from fink_k8s.core.stream.restarts import Restart, RestartedBy, restarts_of
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.glue.night import watch_operator
from fink_k8s.glue.night.drain_operator import DrainNightOperator
from fink_k8s.glue.night.night_trigger import NightTrigger
from fink_k8s.glue.night.watch_operator import WatchNightOperator
from fink_k8s.glue.stop import stop_operator
from tests.fakes import FakeCluster, driver_pod

SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
REQUEST = StreamRequest(night="20260101", topic="t")
MANIFEST = make_spark_application(REQUEST, SETTINGS, "image@sha256:0", "3.5.7")
OTHER = make_spark_application(REQUEST, SETTINGS, "image@sha256:1", "3.5.7")
STREAM = MANIFEST["metadata"]["name"]
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)


def there(manifest=MANIFEST, state="RUNNING", uid="a"):
    status = {"applicationState": {"state": state}}
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid}, "status": status}


@pytest.fixture
def cluster(monkeypatch):
    fake = FakeCluster()
    now = count()
    clock = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(now))
    monkeypatch.setattr(stop_operator, "time", clock)
    for module in (watch_operator, stop_operator):
        monkeypatch.setattr(module, "cluster", lambda conn_id: fake)
    return fake


def operator(kind=WatchNightOperator, **fields):
    given = {"manifest": MANIFEST, "until": UNTIL.isoformat(), **fields}
    return kind(task_id="watch", **given)


class TaskState(dict):
    """What Airflow keeps for a task over all of its tries."""

    set = dict.__setitem__

    def delete(self, key):
        self.pop(key, None)


def deferred_by(call, *arguments, state=None):
    with pytest.raises(TaskDeferred) as deferred:
        call(context(state), *arguments)
    return deferred.value


def context(state=None):
    """Return what Airflow gives to a task of a run that began an hour ago."""
    run = SimpleNamespace(start_date=datetime.now(UTC) - timedelta(hours=1))
    return {"task_state_store": TaskState() if state is None else state, "dag_run": run}


def event(sign, **fields):
    told = {"sign": sign, "reason": "why", "lived_s": 5, "holder": "a", "lag": None}
    return {**told, "restarts": [], "born": "", "spec": "", **fields}


def as_told(*restarts):
    return [one.model_dump(mode="json") for one in restarts]


def test_a_stream_that_runs_is_taken_as_it_runs_and_watched_in_the_triggerer(cluster):
    cluster.put(there(OTHER))
    deferred = deferred_by(operator().execute)
    assert deferred.method_name == "resume"
    assert isinstance(deferred.trigger, NightTrigger)
    assert (deferred.trigger.until, deferred.trigger.quiet_s) == (UNTIL, None)
    assert deferred.timeout > timedelta(hours=2)
    assert cluster.find("SparkApplication", STREAM, "spark")["spec"] == OTHER["spec"]


def test_a_dead_stream_that_a_try_finds_is_not_started_past_the_policy(cluster):
    """Its history and the pause would be lost; the trigger tells of it, as of any death."""
    cluster.put(there(OTHER, state="FAILED"))
    assert deferred_by(operator().execute).method_name == "resume"
    assert cluster.find("SparkApplication", STREAM, "spark") == there(OTHER, state="FAILED")


def test_a_start_that_an_earlier_try_did_not_come_to_is_made_up_for(cluster):
    deferred_by(operator().execute)
    assert cluster.find("SparkApplication", STREAM, "spark")


def test_the_time_of_grace_begins_when_the_watch_ended(cluster):
    cluster.put(there())
    drain = operator(DrainNightOperator, quiet_s=60, grace_s=600)
    trigger = deferred_by(drain.execute).trigger
    assert (trigger.until, trigger.quiet_s, trigger.grace_s) == (UNTIL, 60, 600)


def test_a_night_that_another_run_has_stopped_is_not_begun_again(cluster):
    drain = operator(DrainNightOperator, quiet_s=60, grace_s=600)
    result = drain.execute(context())
    assert (result["sign"], result["is_drained"], result["lag"]) == ("gone", False, None)
    assert cluster.find("SparkApplication", STREAM, "spark") is None


@pytest.mark.parametrize("sign", ["time-is-up", "drained"])
def test_the_end_is_told_with_the_restarts_of_the_night(cluster, sign):
    restart = Restart(at=UNTIL, cause="x", by=RestartedBy.OPERATOR)
    result = operator().resume(context(), event(sign, lag=3, restarts=as_told(restart)))
    assert (result["sign"], result["lag"]) == (sign, 3)
    assert [Restart.model_validate(one) for one in result["restarts"]] == [restart]
    assert datetime.fromisoformat(result["ended_at"]).tzinfo


@pytest.mark.parametrize("sign", ["gone", "unwatchable"])
def test_what_somebody_has_to_see_to_fails_for_good(cluster, sign):
    with pytest.raises(AirflowFailException, match="why"):
        operator().resume(context(), event(sign))


def test_a_dead_stream_is_started_anew_after_a_pause_with_its_history(cluster):
    cluster.put(there(state="FAILED"))
    pause = deferred_by(operator().resume, event("died"))
    assert isinstance(pause.trigger, DateTimeTrigger)
    assert pause.method_name == "resume_after_pause"
    again = deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert isinstance(again.trigger, NightTrigger)
    started = cluster.find("SparkApplication", STREAM, "spark")
    assert "status" not in started
    (restart,) = restarts_of(started)
    assert (restart.by, restart.cause, restart.lived_s) == (RestartedBy.FINK, "why", 5)


def test_it_is_started_again_as_it_ran_whatever_this_run_has_asked_for(cluster):
    cluster.put(there(OTHER, state="FAILED"))
    pause = deferred_by(operator().resume, event("died"))
    deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert cluster.find("SparkApplication", STREAM, "spark")["spec"] == OTHER["spec"]


@pytest.mark.parametrize("kind", [WatchNightOperator, DrainNightOperator])
def test_a_start_that_a_dead_worker_did_not_come_to_is_made_up_for_with_its_history(
    cluster, asked, kind
):
    asked[STREAM] = datetime.now(UTC) - timedelta(minutes=1)  # an earlier one was stopped
    fields = {"quiet_s": 60, "grace_s": 600} if kind is DrainNightOperator else {}
    cluster.put(there(OTHER, state="FAILED"))
    state = TaskState()
    deferred_by(operator(kind, **fields).resume, event("died"), state=state)
    cluster.delete("SparkApplication", STREAM, "spark")
    deferred_by(operator(kind, **fields).execute, state=state)
    started = cluster.find("SparkApplication", STREAM, "spark")
    assert started["spec"] == OTHER["spec"]
    assert [restart.cause for restart in restarts_of(started)] == ["why"]
    assert "to_be_started" not in state


def test_a_start_that_a_dead_worker_did_not_come_to_is_left_where_the_stream_was_stopped(
    cluster, asked
):
    cluster.put(there(state="FAILED"))
    state = TaskState()
    deferred_by(operator().resume, event("died"), state=state)
    asked[STREAM] = datetime.now(UTC)
    cluster.delete("SparkApplication", STREAM, "spark")
    with pytest.raises(
        AirflowFailException, match="it was stopped, or its application was deleted"
    ):
        operator().execute(context(state))
    deferred_by(operator().execute, state=state)  # it is cleared by a person who wants it again


@pytest.mark.parametrize("way", ["spark-operator", "spark-submit"])
def test_a_try_that_dies_while_the_stream_is_stopped_does_not_start_it_anew(cluster, asked, way):
    cluster.put(there())
    state = TaskState()
    watch = operator(submit_with=way)
    deferred_by(watch.execute, state=state)
    asked[STREAM] = datetime.now(UTC)
    cluster.delete("SparkApplication", STREAM, "spark")
    with pytest.raises(
        AirflowFailException, match="it was stopped, or its application was deleted"
    ):
        watch.execute(context(state))
    assert state == {}, "whoever clears it wants the stream"


def test_one_that_is_stopped_while_its_remains_end_is_not_started_anew(cluster, asked):
    cluster.put(there(state="FAILED"))
    state = TaskState()
    pause = deferred_by(operator().resume, event("died"), state=state)
    asked[STREAM] = datetime.now(UTC)
    cluster.delete("SparkApplication", STREAM, "spark")
    done = {"is_done": True, "reason": "", "course": {}}
    watched = deferred_by(operator().resume_start, done, *pause.kwargs.values(), state=state)
    assert isinstance(watched.trigger, NightTrigger)
    assert cluster.find("SparkApplication", STREAM, "spark") is None


def test_what_an_older_version_left_in_flight_is_taken_up(cluster):
    """Its event and its death have a field less, and one more."""
    cluster.put(there(OTHER, state="FAILED"))
    old = {"sign": "died", "reason": "why", "lived_s": 5, "holder": "a", "lag": None, "seen": 1}
    pause = deferred_by(operator().resume, old)
    death = {**old, "restarts": [], "manifest": pause.kwargs["death"]["manifest"], "spec": ""}
    again = deferred_by(operator().resume_after_pause, None, death)
    assert isinstance(again.trigger, NightTrigger)
    assert cluster.find("SparkApplication", STREAM, "spark")["spec"] == OTHER["spec"]


def test_what_is_kept_while_it_is_deferred_is_plain_json(cluster):
    cluster.put(there(state="FAILED"))
    state = TaskState()
    pause = deferred_by(operator().resume, event("died", restarts=as_told(
        Restart(at=UNTIL, cause="x", by=RestartedBy.FINK))), state=state)  # fmt: skip
    assert json.loads(json.dumps(pause.kwargs)) == pause.kwargs
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize(
    ("born", "phase", "is_ended"),
    [
        ("2026-01-01T20:00:00Z", "Running", False),
        ("2026-01-01T20:00:10Z", "Running", True),
        ("2026-01-01T20:00:00Z", "Failed", True),
        ("", "Running", True),
    ],
)
def test_a_driver_that_the_operator_has_started_in_the_pause_is_let_live(
    cluster, born, phase, is_ended
):
    cluster.put(there())
    pause = deferred_by(operator().resume, event("died", born=born))
    driver = driver_pod(STREAM, phase)
    driver["metadata"]["creationTimestamp"] = "2026-01-01T20:00:10Z"
    cluster.all_pods.append(driver)
    again = deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert isinstance(again.trigger, NightTrigger)
    assert bool(cluster.ended) is is_ended


def test_a_stream_without_query_is_ended_before_it_is_started_anew(cluster):
    cluster.put(there())
    cluster.all_pods.append(driver_pod(STREAM, "Running"))
    pause = deferred_by(operator().resume, event("died"))
    assert cluster.all_pods, "nothing is touched before the pause is over"
    deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert (f"{STREAM}-driver", 30) in cluster.ended
    assert cluster.all_pods == []
    assert len(restarts_of(cluster.find("SparkApplication", STREAM, "spark"))) == 1


def test_no_driver_is_started_while_another_may_live(cluster):
    cluster.put(there(state="FAILED"))
    cluster.all_pods.append(driver_pod(STREAM, "Running"))
    cluster.stubborn = {f"{STREAM}-driver"}
    pause = deferred_by(operator().resume, event("died"))
    ending = deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert ending.method_name == "resume_start"
    failed = {"is_done": False, "reason": "its node does not confirm its end", "course": {}}
    with pytest.raises(Exception, match="is being deleted"):
        operator().resume_start(context(), failed, *ending.kwargs.values())
    assert cluster.find("SparkApplication", STREAM, "spark") is None


def test_a_stream_that_another_run_has_started_anew_is_left_alone(cluster):
    cluster.put(there(state="FAILED"))
    pause = deferred_by(operator().resume, event("died"))
    cluster.put(there(uid="b"))
    watched = deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert isinstance(watched.trigger, NightTrigger)
    assert cluster.ended == []
    assert cluster.find("SparkApplication", STREAM, "spark")["metadata"]["uid"] == "b"


def test_a_stream_that_somebody_has_ended_meanwhile_is_not_started_anew(cluster):
    pause = deferred_by(operator().resume, event("died"))
    watched = deferred_by(operator().resume_after_pause, None, *pause.kwargs.values())
    assert isinstance(watched.trigger, NightTrigger)
    assert cluster.find("SparkApplication", STREAM, "spark") is None


@pytest.fixture
def started(monkeypatch):
    """Start nothing by spark-submit; return what would have been."""
    manifests = []

    def ensure_submitted(there, manifest, *_, **__):
        manifests.append(manifest)
        return Submission(Way.CREATED, manifest)

    monkeypatch.setattr(watch_operator, "ensure_submitted", ensure_submitted)
    return manifests


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Return when each stream was last asked to end, by its name."""
    moments = {}
    notes = SimpleNamespace(asked=moments.get)
    monkeypatch.setattr(watch_operator, "HealthNotes", lambda namespace: notes)
    return moments


@pytest.mark.parametrize(("sign", "cause"), [("died", "why"), ("gone", UNSEEN)])
@pytest.mark.parametrize("kind", ["watch", "drain"])
def test_a_driver_without_application_that_was_taken_away_is_started_anew(
    cluster, started, asked, kind, sign, cause
):
    """It may have gone before anybody looked, too: then nothing tells of it any more."""
    asked[STREAM] = datetime.now(UTC) - timedelta(minutes=20)  # an earlier one was stopped
    given = {"submit_with": "spark-submit"}
    watch = operator(**given) if kind == "watch" else operator(DrainNightOperator, quiet_s=0,
                                                               grace_s=0, **given)  # fmt: skip
    state = begun(minutes_ago=5)
    pause = deferred_by(watch.resume, event(sign, holder=""), state=state)
    death = pause.kwargs.values()
    again = deferred_by(watch.resume_after_pause, None, *death, state=state)
    assert isinstance(again.trigger, NightTrigger)
    [manifest] = started
    assert [restart.cause for restart in restarts_of(manifest)] == [cause]


@pytest.mark.parametrize("kind", ["watch", "drain"])
def test_an_order_that_an_earlier_driver_was_given_is_not_meant_for_a_later_one(
    cluster, started, asked, kind
):
    """An upgrade, by this run or another one, has ended the driver that ran when this one began."""
    asked[STREAM] = datetime.now(UTC) - timedelta(minutes=20)
    fields = {"quiet_s": 0, "grace_s": 0} if kind == "drain" else {}
    kind = DrainNightOperator if kind == "drain" else WatchNightOperator
    born = (datetime.now(UTC) - timedelta(minutes=19)).isoformat()
    dead = event("died", holder="", born=born)
    watch = operator(kind, submit_with="spark-submit", **fields)
    assert deferred_by(watch.resume, dead, state=begun(minutes_ago=60)).kwargs["death"]


def test_a_driver_without_application_is_started_again_as_it_ran(cluster, started, asked):
    """Nothing is left of it; the trigger has seen what it bore."""
    spec = canonical_json(OTHER["spec"])
    watch = operator(submit_with="spark-submit")
    state = begun(minutes_ago=5)
    pause = deferred_by(watch.resume, event("died", holder="", spec=spec), state=state)
    deferred_by(watch.resume_after_pause, None, *pause.kwargs.values(), state=state)
    [manifest] = started
    assert manifest["spec"] == OTHER["spec"]
    assert hash_of(manifest) == hash_of(OTHER)
    assert manifest["metadata"]["labels"] == OTHER["metadata"]["labels"]


@pytest.mark.parametrize(("minutes", "is_started"), [(9, False), (600, True)])
def test_one_that_nobody_saw_die_counts_as_one_that_lived(
    cluster, started, asked, minutes, is_started
):
    row = as_told(*[Restart(at=UNTIL, cause="x", by=RestartedBy.FINK)] * 3)
    gone = event("gone", holder="", lived_s=0, restarts=row)
    watch = operator(submit_with="spark-submit")
    state = begun(minutes_ago=minutes)
    if is_started:
        assert deferred_by(watch.resume, gone, state=state).method_name == "resume_after_pause"
    else:
        with pytest.raises(AirflowFailException, match="3 times in a row"):
            watch.resume(context(state), gone)


@pytest.mark.parametrize("sign", ["died", "gone"])
def test_one_that_was_stopped_on_purpose_stays_so(cluster, started, asked, sign):
    asked[STREAM] = datetime.now(UTC)
    watch = operator(submit_with="spark-submit")
    with pytest.raises(
        AirflowFailException, match="it was stopped, or its application was deleted"
    ):
        watch.resume(context(begun(minutes_ago=5)), event(sign, holder=""))
    drain = operator(DrainNightOperator, quiet_s=0, grace_s=0, submit_with="spark-submit")
    there = context(begun(minutes_ago=5))
    assert drain.resume(there, event(sign, holder=""))["sign"] == "gone"
    assert started == []


@pytest.mark.parametrize("holder", ["", "a"])
def test_one_that_is_stopped_in_the_pause_before_its_start_is_not_started(
    cluster, started, asked, holder
):
    state = begun(minutes_ago=5)
    watch = operator(submit_with="spark-submit")
    pause = deferred_by(watch.resume, event("died", holder=holder), state=state)
    asked[STREAM] = datetime.now(UTC)
    with pytest.raises(
        AirflowFailException, match="it was stopped, or its application was deleted"
    ):
        watch.resume_after_pause(context(state), None, *pause.kwargs.values())
    assert started == []


def test_a_drain_knows_of_a_stop_while_the_night_was_watched(cluster, started, asked):
    asked[STREAM] = datetime.now(UTC) - timedelta(minutes=1)  # before the drain began
    drain = operator(DrainNightOperator, quiet_s=0, grace_s=0, submit_with="spark-submit",
                     until=datetime.now(UTC).isoformat())  # fmt: skip
    assert drain.execute(context())["sign"] == "gone"
    assert started == []


def begun(minutes_ago):
    """Return the state of a task that has watched its stream for so long."""
    return TaskState(begun=(datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat())


def test_one_that_another_run_has_started_anew_is_let_live(cluster, started, asked):
    watch = operator(submit_with="spark-submit")
    state = begun(minutes_ago=5)
    pauses = [deferred_by(watch.resume, event("died", holder=uid), state=state)
              for uid in ("", "dead")]  # fmt: skip
    cluster.all_pods.append(driver_pod(STREAM, "Running"))
    for pause in pauses:
        deferred_by(watch.resume_after_pause, None, *pause.kwargs.values(), state=state)
    assert (started, cluster.ended) == ([], [])


def test_a_crash_loop_ends_as_failed_with_its_reason_and_is_left_to_look_at(cluster):
    dead = [Restart(at=UNTIL, cause="x", by=RestartedBy.FINK)] * 3
    cluster.put(there(state="FAILED"))
    with pytest.raises(AirflowFailException, match=r"3 times in a row.*why"):
        operator().resume(context(), event("died", restarts=as_told(*dead)))
    assert cluster.find("SparkApplication", STREAM, "spark")


def test_the_form_may_say_that_nothing_is_started_again(cluster):
    cluster.put(there(state="FAILED"))
    with pytest.raises(AirflowFailException, match="0 times"):
        operator(restarts=0).resume(context(), event("died", lived_s=36_000))


def test_a_kill_of_the_task_leaves_the_stream(cluster):
    cluster.put(there())
    operator().on_kill()
    assert cluster.ended == []

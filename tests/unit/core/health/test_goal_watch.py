from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.progress_checks import query_dead
from fink_k8s.core.health.goal_watch import Goal, Outcome, Watch
from fink_k8s.core.health.stream_health import HealthVerdict

START = datetime(2026, 1, 1, 20, 0, tzinfo=UTC)
LIVE = {"gauges": {"spark-1.driver.spark.streaming.q.latency": {"value": 0}}}
NO_QUERY = {"gauges": {}}
SILENT = None


def at(seconds):
    return START + timedelta(seconds=seconds)


def evidence(state, containers=None, metrics=None):
    """Return what is seen of a stream; it has a driver where `containers` are given."""
    pods = []
    if containers is not None:
        running = any("running" in one["state"] for one in containers)
        metadata = {"name": "s-driver", "labels": {"spark-role": "driver"}}
        status = {
            "phase": "Running" if running else "Pending",
            "containerStatuses": containers,
        }
        pods = [{"metadata": metadata, "spec": {"containers": [{"image": "i"}]}, "status": status}]
    return Evidence({"status": {"applicationState": {"state": state}}}, pods, metrics)


def running(metrics, started=0):
    """Return a stream whose driver began to run at `started`."""
    since = f"{at(started):%Y-%m-%dT%H:%M:%SZ}"
    return evidence("RUNNING", [{"state": {"running": {"startedAt": since}}}], metrics)


NEW = evidence("")
STARTING = evidence("SUBMITTED")
TROUBLED = evidence("SUBMITTED", [{"state": {"waiting": {"reason": "ErrImagePull"}}}])


def judged(watch, *looks):
    """Return the outcome of the last of the (second, evidence); the others must have had none."""
    *before, (second, last) = looks
    for moment, seen in before:
        assert watch.judge(seen, at(moment)) is None
    return watch.judge(last, at(second))


@pytest.mark.parametrize("goal", Goal)
def test_a_live_query_reaches_every_goal(goal):
    assert Watch(goal).judge(running(LIVE), at(1)) == Outcome(True, "driver Running, 1 query alive")


@pytest.mark.parametrize("metrics", [NO_QUERY, SILENT])
def test_a_running_driver_reaches_running_but_not_healthy(metrics):
    assert Watch(Goal.RUNNING).judge(running(metrics), at(1)).reached
    assert Watch(Goal.HEALTHY).judge(running(metrics), at(1)) is None


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Evidence(None), "the stream does not exist"),
        (evidence("FAILED"), "[driver-failed]"),
        (evidence("COMPLETED"), "the stream has ended"),
    ],
)
def test_what_is_over_fails_at_once_and_for_good(goal, seen, words):
    outcome = Watch(goal).judge(seen, at(0))
    assert not outcome.reached
    assert not outcome.retryable
    assert words in outcome.reason


def test_a_trouble_is_let_be_for_as_long_as_patience_lasts():
    outcome = judged(Watch(Goal.HEALTHY), (0, TROUBLED), (7, TROUBLED), (8, TROUBLED))
    assert outcome.retryable
    assert not outcome.reached
    assert "[image-pull]" in outcome.reason


def test_a_trouble_that_heals_is_no_outcome():
    watch = Watch(Goal.HEALTHY)
    assert judged(watch, (0, TROUBLED), (6, STARTING), (60, running(LIVE))).reached


def test_a_trouble_that_comes_and_goes_counts_from_its_first_sight():
    outcome = judged(Watch(Goal.HEALTHY), (0, TROUBLED), (5, STARTING), (9, TROUBLED))
    assert "[image-pull]" in outcome.reason


def test_health_clears_a_trouble():
    watch = Watch(Goal.HEALTHY)
    assert judged(watch, (0, TROUBLED), (5, running(LIVE))).reached
    assert judged(watch, (20, TROUBLED), (27, TROUBLED)) is None
    assert judged(watch, (28, TROUBLED)).retryable


def test_patience_can_be_set():
    watch = Watch(Goal.RUNNING, patience=timedelta(0))
    assert judged(watch, (0, TROUBLED)).retryable


@pytest.mark.parametrize(
    ("metrics", "words"),
    [(NO_QUERY, "its metrics show no live query"), (SILENT, "its metrics do not answer")],
)
def test_a_query_is_dead_only_after_the_start_time(metrics, words):
    seen = running(metrics)
    outcome = judged(Watch(Goal.HEALTHY), (0, seen), (60, seen), (119, seen), (120, seen))
    assert not outcome.reached
    assert not outcome.retryable
    assert outcome.reason.startswith("[query-dead] ")
    assert f"{words}, 120 s after its start" in outcome.reason


def test_an_old_drivers_query_is_dead_after_patience():
    seen = running(NO_QUERY, started=-3600)
    outcome = judged(Watch(Goal.HEALTHY), (0, seen), (7, seen), (8, seen))
    assert "3608 s after its start" in outcome.reason


def test_one_look_without_answer_kills_no_query():
    old = -3600
    watch = Watch(Goal.HEALTHY)
    silent = running(SILENT, started=old)
    assert judged(watch, (0, silent), (6, running(LIVE, started=old))).reached
    assert judged(watch, (8, silent), (12, silent)) is None


def test_a_driver_that_starts_anew_has_its_whole_start_time():
    first, second = running(NO_QUERY), running(NO_QUERY, started=115)
    watch = Watch(Goal.HEALTHY)
    assert judged(watch, (0, first), (119, first), (130, second), (234, second)) is None
    assert "[query-dead]" in judged(watch, (235, second)).reason


def test_a_driver_without_start_is_not_old():
    seen = evidence("RUNNING", [{"state": {"running": {}}}])
    assert judged(Watch(Goal.HEALTHY), (0, seen), (900, seen)) is None


@pytest.mark.parametrize("goal", Goal)
def test_the_operator_is_away_after_30_seconds_without_state(goal):
    outcome = judged(Watch(goal), (0, NEW), (29, NEW), (30, NEW))
    assert not outcome.reached
    assert outcome.retryable
    assert outcome.reason.startswith("[operator-away] ")
    assert "no state after 30 s" in outcome.reason
    assert "helm" in outcome.reason


def test_a_start_that_has_a_state_may_take_its_time():
    assert judged(Watch(Goal.RUNNING), (0, NEW), (20, STARTING), (900, STARTING)) is None


def test_the_last_health_can_be_shown():
    watch = Watch(Goal.HEALTHY)
    assert watch.last is None
    watch.judge(STARTING, at(0))
    assert watch.last.verdict is HealthVerdict.STARTING
    watch.judge(running(LIVE), at(1))
    assert watch.last.verdict is HealthVerdict.HEALTHY


def test_two_watches_share_no_memory():
    assert judged(Watch(Goal.HEALTHY), (0, TROUBLED)) is None
    assert judged(Watch(Goal.HEALTHY), (100, TROUBLED)) is None


def test_a_dead_query_is_told_in_one_line_with_remedy():
    line = str(query_dead(timedelta(seconds=130.4), answers=True))
    assert line.startswith("[query-dead] the driver runs, but its query is dead: ")
    assert "130 s after its start. Read the query's exception in the driver's log" in line
    assert "\n" not in line


def test_the_present_moment_has_a_time_zone():
    assert utc_now().utcoffset() == timedelta(0)


def test_a_dead_query_is_dead_though_its_driver_answers_now_and_then():
    silent, empty = running(SILENT, started=-3600), running(NO_QUERY, started=-3600)
    outcome = judged(Watch(Goal.HEALTHY), (0, silent), (4, empty), (8, silent))
    assert "[query-dead]" in outcome.reason

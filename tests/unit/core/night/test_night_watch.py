from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.base.names import LABEL_OF_OPERATOR
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.night.night_watch import NightWatch
from fink_k8s.core.night.restart_log import UNSEEN
from fink_k8s.core.night.watch_event import Sign
from fink_k8s.core.stream.restarts import Restart, RestartedBy, annotation_of

START = datetime(2026, 1, 1, 20, 0, tzinfo=UTC)
LIVE = {"gauges": {"spark-1.driver.spark.streaming.q.latency": {"value": 0}}}
NO_QUERY = {"gauges": {}}
SILENT = None
END = 3600


def at(seconds):
    return START + timedelta(seconds=seconds)


def stream(
    state="RUNNING",
    metrics=LIVE,
    *,
    probes=1,
    started=0,
    attempts=1,
    history=(),
    message="",
    uid="a",
):
    """Return what is seen of an application, with a driver unless `started` is None."""
    pods = []
    if started is not None:
        since = f"{at(started):%Y-%m-%dT%H:%M:%SZ}"
        metadata = {"name": "s-driver", "uid": str(started), "labels": {"spark-role": "driver"}}
        containers = [{"state": {"running": {"startedAt": since}}}]
        status = {"phase": "Running", "containerStatuses": containers}
        pods = [{"metadata": metadata, "spec": {"containers": [{"image": "i"}]}, "status": status}]
    application = {
        "metadata": {"uid": uid, "annotations": annotation_of(history)},
        "status": {
            "applicationState": {"state": state, "errorMessage": message},
            "executionAttempts": attempts,
        },
    }
    return Evidence(application, pods, metrics, probes=probes)


GONE = Evidence(None)


def judged(*looks, until=END):
    """Return what comes of the last of (second, evidence); the others must have had nothing."""
    watch = NightWatch(at(until))
    *before, (second, last) = looks
    for moment, seen in before:
        assert watch.judge(seen, at(moment)) is None
    return watch.judge(last, at(second))


def test_a_night_that_goes_well_ends_when_its_time_is_up():
    seen = judged((1, stream()), (3599, stream()), (3600, stream()))
    assert seen.sign is Sign.TIME_IS_UP


def test_a_night_whose_end_has_passed_ends_at_the_first_look():
    assert judged((1, stream()), until=0).sign is Sign.TIME_IS_UP


@pytest.mark.parametrize(
    "state", ["SUBMITTED", "FAILING", "PENDING_RERUN", "SUBMISSION_FAILED", "INVALIDATING"]
)
def test_what_the_operator_heals_is_waited_for(state):
    trouble = stream(state, started=None)
    assert judged((1, stream()), *((s, trouble) for s in range(2, 900, 60)), (901, trouble)) is None


@pytest.mark.parametrize(("state", "words"), [("FAILED", "driver-failed"), ("COMPLETED", "ended")])
def test_what_nobody_starts_again_has_died(state, words):
    seen = judged((1, stream()), (700, stream()), (702, stream(state, started=None)))
    assert seen.sign is Sign.DIED
    assert words in seen.reason
    assert (seen.lived_s, seen.holder) == (700, "a")


def test_a_death_at_the_end_of_the_night_is_a_death():
    assert judged((1, stream()), (3600, stream("FAILED", started=None))).sign is Sign.DIED


def test_a_query_that_lived_and_is_dead_is_known_after_two_probes():
    first, second = (stream(metrics=NO_QUERY, probes=n) for n in (2, 3))
    seen = judged((1, stream()), (5, first), (9, first), (10, second))
    assert seen.sign is Sign.DIED
    assert "query-dead" in seen.reason


def test_a_driver_that_does_not_answer_is_given_time_for_the_connection_to_recover():
    silent = [stream(metrics=SILENT, probes=n) for n in range(2, 9)]
    looks = [(5 + 10 * n, seen) for n, seen in enumerate(silent)]
    assert judged((1, stream()), *looks[:-1], (64, silent[-1])) is None
    assert judged((1, stream()), *looks).sign is Sign.DIED
    assert judged((1, stream()), *looks[:-1], (64, stream(probes=8)), (65, silent[0])) is None


def test_a_time_in_which_nobody_looked_is_not_held_against_a_silent_driver():
    """The API server was away."""
    first, second = (stream(metrics=SILENT, probes=n) for n in (2, 3))
    assert judged((1, stream()), (5, first), (95, second), (105, second)) is None


def test_a_probe_that_fails_once_is_no_death():
    first, second = (stream(metrics=SILENT, probes=n) for n in (2, 4))
    well = stream(probes=3)
    assert judged((1, stream()), (5, first), (10, well), (15, second), (24, second)) is None


def test_while_a_probe_is_on_its_way_nothing_is_held_against_the_driver():
    unasked = stream(metrics=SILENT, probes=0)
    first = stream(metrics=SILENT, probes=7)
    assert judged((1, stream()), (2, unasked), (30, unasked), (40, first), (90, first)) is None


def test_no_query_and_no_answer_by_turns_are_one_death():
    look = 5, stream(metrics=SILENT, probes=2)
    assert judged((1, stream()), look, (10, stream(metrics=NO_QUERY, probes=3))).sign is Sign.DIED


def test_a_young_driver_is_given_time_to_begin_its_query():
    first, second = (stream(metrics=NO_QUERY, probes=n) for n in (1, 2))
    assert judged((1, first), (30, second), (119, second)) is None
    assert judged((1, first), (121, second)).sign is Sign.DIED


def test_a_new_driver_is_given_time_again():
    looks = [(1, stream()), (60, stream(metrics=NO_QUERY, probes=2, started=58, attempts=2))]
    late = stream(metrics=NO_QUERY, probes=3, started=58, attempts=2)
    assert judged(*looks, (90, late), (177, late)) is None


def test_a_stream_that_somebody_ended_is_gone_not_dead():
    seen = judged((1, stream()), (5, GONE), (64, GONE), (65, GONE))
    assert seen.sign is Sign.GONE
    assert "trigger the night DAG again" in seen.reason


def going(driver, grace, **labels):
    """Return what is seen of a driver without application that is being deleted."""
    asked = {"deletionTimestamp": "2026-01-01T20:00:00Z", "deletionGracePeriodSeconds": grace}
    metadata = {**driver["metadata"], **asked}
    metadata["labels"] = {**metadata["labels"], **labels}
    return Evidence(None, [{**driver, "metadata": metadata}], LIVE)


@pytest.mark.parametrize("phase", ["Running", "Succeeded", "Failed"])
def test_a_driver_that_is_asked_to_end_after_its_application_has_not_died(phase):
    [driver] = stream().pods
    ending = going({**driver, "status": {"phase": phase}}, grace=60)
    assert judged((1, stream()), (2, ending), (300, ending), (301, GONE), (360, GONE)) is None
    assert (
        judged((1, stream()), (2, ending), (61, GONE), (100, GONE), (121, GONE)).sign is Sign.GONE
    )


def test_a_driver_without_application_that_is_taken_away_has_died():
    alone = Evidence(None, stream().pods, LIVE)
    seen = judged((1, alone), (2, GONE))
    assert seen.sign is Sign.DIED
    assert "the driver's pod was deleted" in seen.reason
    assert seen.holder == ""


@pytest.mark.parametrize(
    ("grace", "labels", "sign"),
    [(0, {}, Sign.DIED), (60, {}, None), (0, {LABEL_OF_OPERATOR: "true"}, None)],
)
def test_a_driver_that_is_deleted_by_force_has_died_if_no_operator_lets_it_go(grace, labels, sign):
    """Seen is also that its deletion has begun, and then that it is gone."""
    driver = stream().pods[0]
    alone = Evidence(None, [driver], LIVE)
    seen = judged((1, alone), (2, going(driver, grace, **labels)), (3, GONE))
    assert (seen and seen.sign) == sign


def test_one_that_was_not_there_at_first_has_not_died_but_is_gone():
    assert judged((1, GONE), (30, GONE), (61, GONE)).sign is Sign.GONE


def test_a_driver_without_application_that_ends_by_itself_has_died():
    [driver] = stream().pods
    ended = Evidence(None, [{**driver, "status": {"phase": "Failed"}}])
    assert judged((1, stream()), (2, ended)).sign is Sign.DIED


def test_an_application_that_is_replaced_is_not_gone():
    looks = [(1, stream()), (5, GONE), (64, stream("SUBMITTED", started=None, uid="b"))]
    assert judged(*looks, (70, GONE)) is None


def news(*looks):
    watch = NightWatch(at(END))
    found = []
    for second, seen in looks:
        watch.judge(seen, at(second))
        found.append(list(watch.restarts.news))
    return found


def test_a_restart_by_the_operator_is_noted_with_its_cause_and_how_long_it_took():
    exit_3 = "driver container failed with ExitCode: 3, Reason: Error"
    failing = stream("FAILING", started=None, message=exit_3)
    again = stream("SUBMITTED", started=None, attempts=2)
    *before, (noted,) = news((1, stream()), (700, stream()), (702, failing), (712, again))
    assert before == [[], [], []]
    assert noted.by is RestartedBy.OPERATOR
    assert "pair-broken" in noted.cause
    assert (noted.at, noted.lived_s, noted.application) == (at(702), 700, "a")
    assert noted.back_after_s is None
    back = stream(started=715, attempts=2, history=[noted])
    ((finished,),) = news((740, back))
    assert finished.back_after_s == 38
    assert news((750, stream(started=715, attempts=2, history=[finished]))) == [[]]


ECHO = '{"stream2raw": "failed", "reason": "Unauthorized! Token may have expired"}'


@pytest.mark.parametrize("message", ["", "driver container failed with ExitCode: 137"])
def test_a_driver_that_was_taken_away_is_not_judged_by_its_echo(message):
    """The operator takes it to run for some seconds; it may tell the exit code of the kill."""
    failing = replace(stream("FAILING", started=None, message=message), driver_log=ECHO)
    again = stream("SUBMITTED", started=None, attempts=2)
    looks = [(1, stream()), (60, stream(started=None)), (65, failing), (70, again)]
    (noted,) = news(*looks)[-1]
    assert "the driver's pod was deleted" in noted.cause
    assert noted.at == at(60)


def test_one_that_was_taken_away_and_is_not_started_again_has_died_of_that():
    failed = replace(stream("FAILED", started=None), driver_log=ECHO)
    seen = judged((1, stream()), (60, stream(started=None)), (65, failed))
    assert "the driver's pod was deleted" in seen.reason


def test_a_driver_that_fails_after_one_that_was_taken_away_is_judged_by_its_own_words():
    again = stream(started=70, attempts=2)
    exit_3 = "driver container failed with ExitCode: 3, Reason: Error"
    failed = stream("FAILED", started=None, attempts=2, message=exit_3)
    seen = judged((1, stream()), (60, stream(started=None)), (72, again), (80, failed))
    assert "pair-broken" in seen.reason


def test_a_return_that_could_not_be_noted_is_news_until_it_is():
    told = Restart(at=at(0), cause="x", by=RestartedBy.FINK)
    unnoted = stream(history=[told])
    first, second = news((30, unnoted), (90, unnoted))
    assert first == second
    assert first[0].back_after_s == 30


def test_a_restart_that_was_not_watched_is_noted_all_the_same():
    ((noted,),) = news((1, stream(attempts=2)))
    assert (noted.cause, noted.lived_s) == (UNSEEN, 0)


def test_what_others_have_noted_is_not_noted_twice():
    told = Restart(at=at(0), cause="x", by=RestartedBy.OPERATOR, application="a", back_after_s=1.0)
    assert news((1, stream(attempts=2, history=[told]))) == [[]]


def test_of_a_driver_without_application_only_a_return_that_was_seen_is_told():
    told = Restart(at=at(0), cause="x", by=RestartedBy.FINK)
    [pod] = stream().pods
    pod = {**pod, "metadata": {**pod["metadata"], "annotations": annotation_of([told])}}
    starting, lives = (Evidence(None, [pod], metrics, probes=1) for metrics in (SILENT, LIVE))
    assert news((30, lives), (90, lives)) == [[], []]
    first, (back,), later = news((10, starting), (30, lives), (90, lives))
    assert (first, back.back_after_s, later) == ([], 30, [])


def test_a_stream_without_application_has_no_place_for_notes():
    driver = stream().pods
    assert news((1, Evidence(None, driver, LIVE))) == [[]]


def test_a_time_in_which_nobody_looked_is_not_held_against_a_stream_that_is_missing():
    """An upgrade leaves none for some seconds, and then the API server was away."""
    looks = [(1, stream()), (5, GONE), (95, GONE)]
    assert judged(*looks, (97, stream(uid="b"))) is None
    assert judged(*looks, (154, GONE), (155, GONE)).sign is Sign.GONE


BEGUN, ENDED = "2026-01-01T12:00:00Z", "2026-01-01T20:00:00Z"


def test_how_long_a_driver_had_run_that_died_before_anybody_looked_is_asked_of_the_cluster():
    dead = stream("FAILED", started=None)
    times = {"lastSubmissionAttemptTime": BEGUN, "terminationTime": ENDED}
    told = replace(dead, application={**dead.application, "status": {**dead.status, **times}})
    assert judged((1, told)).lived_s == 8 * 3600
    assert judged((1, dead)).lived_s == 0, "it does not say"
    assert judged((1, stream()), (30, told)).lived_s == 1, "this watch has seen it"
    ended = {"state": {"terminated": {"startedAt": BEGUN, "finishedAt": ENDED}}}
    metadata = {"name": "s-driver", "uid": "p", "labels": {"spark-role": "driver"}}
    status = {"phase": "Failed", "containerStatuses": [ended]}
    alone = Evidence(None, [{"metadata": metadata, "spec": {"containers": []}, "status": status}])
    assert judged((1, alone)).lived_s == 8 * 3600

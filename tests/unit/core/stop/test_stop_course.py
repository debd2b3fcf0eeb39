"""What is done next, for every state that a stream can be in; no cluster, no clock."""

from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.base.names import labels_of
from fink_k8s.core.stop.remains import Remains
from fink_k8s.core.stop.stop_course import (
    AT_ONCE_GRACE_S,
    FORCE_LIMIT,
    FORCED_GRACE_S,
    LOST_AFTER,
    RESERVE_S,
    REST_LIMIT,
    SUBMISSION_TIME,
    SWEEP_AFTER,
    Action,
    Course,
    DriverEnd,
    grace_of,
    next_step,
)
from fink_k8s.core.stop.stop_request import StopManner

STREAM = "stream2raw-ztf-20060101"
NOW = datetime(2026, 1, 1, 20, tzinfo=UTC)
SOON, LATER = "2026-01-01T20:00:00Z", "2026-01-01T20:02:00Z"
NEVER = Remains()
PATIENT = StopManner(limit_s=60)
THEN_KILL = StopManner(limit_s=60, then_at_once=True)
AT_ONCE = StopManner(how="at-once")
STATES = ["", "SUBMITTED", "RUNNING", "COMPLETED", "FAILED", "SUBMISSION_FAILED", "PENDING_RERUN",
          "INVALIDATING", "SUCCEEDING", "FAILING", "SUSPENDING", "SUSPENDED", "RESUMING", "UNKNOWN",
          "A_STATE_TO_COME"]  # fmt: skip


def application(state="RUNNING", uid="a", *, going=False, finalizers=None, until=SOON):
    metadata = {"name": STREAM, "namespace": "spark", "uid": uid, "finalizers": finalizers}
    if going:
        metadata["deletionTimestamp"] = until
    status = {"applicationState": {"state": state}} if state else {}
    return {"kind": "SparkApplication", "metadata": metadata, "status": status}


def pod(
    name=f"{STREAM}-driver", phase="Running", role="driver", *, going=False, until=SOON, **spec
):
    labels = {**labels_of("ztf", "20060101"), "spark-role": role}
    metadata = {"name": name, "namespace": "spark", "uid": f"uid of {name}", "labels": labels}
    if going:
        metadata["deletionTimestamp"] = until
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


EXECUTOR = pod("exec-1", role="executor", nodeName="n1")
CONFIG_MAP = {
    "kind": "ConfigMap",
    "metadata": {"name": "spark-drv-1-conf-map", "namespace": "spark", "uid": "c"},
}
DRIVER_ENDS = Remains(None, [pod(going=True, nodeName="n1"), EXECUTOR], [CONFIG_MAP])
DRIVER_LASTS = Remains(None, [pod(going=True, until=LATER, nodeName="n1"), EXECUTOR], [CONFIG_MAP])
APPLICATION_HELD = Remains(application(going=True, finalizers=["foregroundDeletion"]))
RESTS = Remains(None, [EXECUTOR], [CONFIG_MAP])


def play(manner, *looks, first=None):
    """Return the actions over a row of (seconds, remains); the first look begins the course."""
    first = first if first is not None else looks[0][1]
    course = Course.of(STREAM, first, NOW)
    actions = []
    for seconds, remains in looks:
        now = NOW + timedelta(seconds=seconds)
        course = course.noting(remains, now)
        step = next_step(course, manner, remains, now)
        course = course.doing(step.action, manner, now)
        actions.append(step.action.value)
    play.last = step
    return actions


def test_of_nothing_nothing_is_to_be_done():
    assert play(PATIENT, (0, NEVER)) == ["done"]
    assert Course.of(STREAM, NEVER, NOW).was == ""


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded", "Failed", "Unknown", None])
def test_every_state_is_asked_to_end_and_the_stop_is_done_when_nothing_is_left(state, phase):
    there = Remains(application(state), [pod(phase=phase)] if phase else [])
    row = (0, there), (1, NEVER), (2 + SUBMISSION_TIME.total_seconds(), NEVER)
    actions = play(PATIENT, *row)
    assert actions[0] == "ask"
    assert actions[-1] == "done"


@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded", "Failed", "Unknown"])
def test_a_driver_without_application_is_a_stream_as_any_other(phase):
    assert play(PATIENT, (0, Remains(None, [pod(phase=phase)])), (1, NEVER)) == ["ask", "done"]


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETED", "FAILED", "SUSPENDED", "SUCCEEDING"])
def test_a_settled_stream_is_done_as_soon_as_it_is_gone(state):
    assert play(PATIENT, (0, Remains(application(state))), (1, NEVER)) == ["ask", "done"]


@pytest.mark.parametrize(
    "state", ["", "SUBMITTED", "SUBMISSION_FAILED", "PENDING_RERUN", "FAILING", "UNKNOWN",
              "A_STATE_TO_COME"]
)  # fmt: skip
def test_a_submission_under_way_is_waited_for_and_its_late_driver_ended(state):
    later = 1 + SUBMISSION_TIME.total_seconds()
    there, late = Remains(application(state)), Remains(None, [pod()])
    assert play(PATIENT, (0, there), (1, NEVER), (later, NEVER)) == ["ask", "wait", "done"]
    row = (0, there), (1, NEVER), (2, late), (3, NEVER), (3 + later, NEVER)
    assert play(PATIENT, *row) == ["ask", "wait", "ask", "wait", "done"]


def test_a_driver_under_a_failed_application_is_asked_too():
    there = Remains(application("FAILED"), [pod()])
    assert play(PATIENT, (0, there), (1, DRIVER_ENDS), (2, NEVER)) == ["ask", "wait", "done"]


def test_a_driver_that_the_operator_started_anew_is_asked_again():
    again = Remains(application("PENDING_RERUN", going=True), [pod()])
    assert play(PATIENT, (0, Remains(application(), [pod()])), (1, again)) == ["ask", "ask"]


def test_what_someone_else_is_deleting_is_still_asked_once_and_then_waited_for():
    there = Remains(application(going=True), [pod(going=True)])
    assert play(PATIENT, (0, there), (1, there), (2, NEVER)) == ["ask", "wait", "done"]


def test_a_driver_that_does_not_obey_is_named_and_left_when_nothing_else_is_asked():
    there = Remains(application(), [pod()])
    row = (0, there), (59, DRIVER_LASTS), (60, DRIVER_LASTS)
    assert play(PATIENT, *row) == ["ask", "wait", "give-up"]
    for words in (f"{STREAM}-driver (Running, being deleted)", "within 60 s", "at 20:02:00 UTC"):
        assert words in play.last.reason


def test_a_driver_that_does_not_obey_is_killed_after_the_limit_when_that_is_asked():
    there = Remains(application(), [pod()])
    row = (0, there), (59, DRIVER_ENDS), (60, DRIVER_ENDS), (61, DRIVER_ENDS), (62, NEVER)
    assert play(THEN_KILL, *row) == ["ask", "wait", "kill", "wait", "done"]


def test_a_node_that_vouches_no_longer_for_its_driver_is_named():
    lost = pod(going=True, nodeName="n1")
    lost["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    play(PATIENT, (0, Remains(None, [pod()])), (60, Remains(None, [lost])))
    assert "Node n1 does not seem to respond" in play.last.reason


def test_a_node_that_does_not_confirm_is_named_and_nothing_is_forced():
    late = LOST_AFTER.total_seconds()
    row = (0, Remains(application(), [pod()])), (late - 1, DRIVER_ENDS), (late, DRIVER_ENDS)
    assert play(AT_ONCE, *row) == ["ask", "wait", "give-up"]
    assert "Node n1 does not confirm" in play.last.reason
    assert "force_lost" in play.last.reason


def test_at_once_waits_for_a_grace_that_has_begun_as_kubelets_do_not_shorten_it():
    late = 120 + LOST_AFTER.total_seconds()
    row = (0, DRIVER_LASTS), (1, DRIVER_ENDS), (late - 1, DRIVER_ENDS), (late, DRIVER_ENDS)
    assert play(AT_ONCE, *row) == ["ask", "wait", "wait", "give-up"]


def test_what_its_node_vouches_for_is_never_struck_out():
    alive = pod(going=True, nodeName="n1")
    alive["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    lives, late = Remains(None, [alive]), LOST_AFTER.total_seconds()
    forced = AT_ONCE.model_copy(update={"force_lost": True})
    row = (0, lives), (late, lives), (FORCE_LIMIT.total_seconds(), lives)
    assert play(forced, *row) == ["ask", "wait", "give-up"]
    assert "still reports them as running" in play.last.reason
    assert play(forced, *row[:2], (late + 1, DRIVER_ENDS)) == ["ask", "wait", "force"]


def test_a_lost_pod_is_struck_out_only_when_that_is_asked():
    late = LOST_AFTER.total_seconds()
    forced = AT_ONCE.model_copy(update={"force_lost": True})
    row = (0, Remains(None, [pod()])), (late, DRIVER_ENDS), (late + 1, DRIVER_ENDS)
    assert play(forced, *row, (late + 2, NEVER)) == ["ask", "force", "wait", "done"]
    assert play(forced, *row, (2 * late, DRIVER_ENDS))[-1] == "give-up"


def test_force_alone_kills_nobody_whose_node_answers():
    alive = pod(going=True, nodeName="n1")
    alive["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    patient = PATIENT.model_copy(update={"force_lost": True})
    first = (0, Remains(None, [pod()]))
    assert play(patient, first, (60, Remains(None, [alive]))) == ["ask", "give-up"]
    late = 60 + LOST_AFTER.total_seconds()
    row = first, (60, DRIVER_ENDS), (late, DRIVER_ENDS)
    assert play(patient, *row) == ["ask", "kill", "force"]


def test_an_application_that_a_finalizer_holds_is_named_with_the_remedy():
    late = REST_LIMIT.total_seconds()
    row = (0, Remains(application("SUSPENDED"))), (1, APPLICATION_HELD), (late, APPLICATION_HELD)
    assert play(PATIENT, *row) == ["ask", "wait", "give-up"]
    assert "foregroundDeletion" in play.last.reason
    assert f"kubectl patch sparkapplication {STREAM}" in play.last.reason


def test_what_kubernetes_does_not_clear_up_is_swept():
    late = 1 + SWEEP_AFTER.total_seconds()
    there = Remains(application(), [pod()])
    row = (0, there), (1, RESTS), (late, RESTS), (late + 1, RESTS), (late + 2, NEVER)
    assert play(PATIENT, *row) == ["ask", "wait", "sweep", "wait", "done"]


def test_leftovers_of_a_stream_long_gone_are_swept_too():
    late = SWEEP_AFTER.total_seconds()
    row = (0, RESTS), (late, RESTS), (late + 1, NEVER)
    assert play(PATIENT, *row) == ["ask", "sweep", "done"]
    assert Course.of(STREAM, RESTS, NOW).was == "REMAINS"


def test_leftovers_that_stay_are_named():
    late = SWEEP_AFTER.total_seconds()
    row = (0, RESTS), (late, RESTS), (late + LOST_AFTER.total_seconds(), RESTS)
    assert play(PATIENT, *row) == ["ask", "sweep", "give-up"]
    assert "ConfigMap spark-drv-1-conf-map" in play.last.reason


@pytest.mark.parametrize("before", [Remains(application(), [pod()]), Remains(None, [pod()])])
def test_a_stream_that_is_started_anew_meanwhile_is_left_alone(before):
    anew = Remains(application("SUBMITTED", uid="b"), [pod()])
    assert play(PATIENT, (0, before), (1, NEVER), (2, anew))[-1] == "give-up"
    assert "was started again" in play.last.reason


def test_the_grace_is_kept_by_kubernetes_where_it_is_to_be_kept_by_force():
    driver = pod(terminationGracePeriodSeconds=30)
    assert grace_of(Action.ASK, THEN_KILL, driver) == 60
    assert grace_of(Action.ASK, AT_ONCE, driver) == AT_ONCE_GRACE_S
    assert grace_of(Action.KILL, THEN_KILL, driver) == AT_ONCE_GRACE_S
    assert grace_of(Action.SWEEP, PATIENT, driver) == AT_ONCE_GRACE_S
    assert grace_of(Action.FORCE, AT_ONCE, driver) == FORCED_GRACE_S


@pytest.mark.parametrize(("own", "grace"), [(None, 120), (30, 120), (300, 300)])
def test_a_patient_stop_never_gives_less_grace_than_its_limit_or_the_pods_own(own, grace):
    assert PATIENT.limit_s + RESERVE_S == 120
    assert grace_of(Action.ASK, PATIENT, pod(terminationGracePeriodSeconds=own)) == grace


def test_a_course_comes_back_from_the_triggerer_as_it_went():
    course = Course.of(STREAM, DRIVER_ENDS, NOW).doing(Action.ASK, AT_ONCE, NOW)
    course = course.seeing(DriverEnd(exit_code=0, reason="Completed"))
    assert Course.model_validate(course.model_dump(mode="json")) == course


def test_what_was_seen_of_an_end_is_not_unseen():
    course = Course.of(STREAM, DRIVER_ENDS, NOW).seeing(DriverEnd(exit_code=0, said="ended: x"))
    assert course.seeing(DriverEnd()).end == DriverEnd(exit_code=0, said="ended: x")


def test_the_place_of_the_data_is_read_from_the_streams_own_arguments():
    words = ["-night", "20060101", "-online_data_prefix", "s3a://other/place", "-tinterval", "2"]
    by_operator = {**application(), "spec": {"arguments": words}}
    by_hand = pod(containers=[{"args": ["driver", "local:///job.py", *words]}])
    for there in (Remains(by_operator), Remains(None, [by_hand])):
        assert Course.of(STREAM, there, NOW).store_prefix == "s3a://other/place"
    assert Remains(application(), [pod()]).store_prefix == ""

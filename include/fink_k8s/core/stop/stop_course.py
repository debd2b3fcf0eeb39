"""How a stream is stopped: from what remains of it to the next step; pure.

The order matters. First delete the driver's pod, with its own grace period; then delete the
application in the background, so that the operator does not restart the driver. A foreground
deletion would remove the executors and the driver's service during the current batch. The objects
that the driver owns (executors, config maps, services) go after it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.kubernetes import KubernetesObject, uid_of
from fink_k8s.core.stop.remains import Remains, grace_end_of, is_alive, is_going, is_vouched_for
from fink_k8s.core.stop.stop_request import StopHow, StopManner
from fink_k8s.core.stream.states import Phase, phase_of

# Kubernetes sends no SIGTERM without a later SIGKILL, and a kubelet does not shorten a grace
# period that has begun (kubernetes#113606, seen with 1.34). So the period is long enough for every
# limit to pass without a kill, and short enough that a hung driver does not live for hours.
RESERVE_S = 60
# SIGKILL by the node that runs the pod, which confirms it; 0 would only delete the API object.
AT_ONCE_GRACE_S = 1
FORCED_GRACE_S = 0
# The longest that the garbage collector, a live node and the operator take.
SWEEP_AFTER = timedelta(seconds=6)
LOST_AFTER = timedelta(seconds=30)
# The node controller marks the pods of a silent node as not ready after 50 s.
FORCE_LIMIT = timedelta(seconds=120)
REST_LIMIT = timedelta(seconds=45)
SUBMISSION_TIME = timedelta(seconds=8)


class Action(StrEnum):
    """The next action."""

    ASK = "ask"
    KILL = "kill"
    FORCE = "force"
    SWEEP = "sweep"
    WAIT = "wait"
    DONE = "done"
    GIVE_UP = "give-up"


@dataclass(frozen=True)
class Step:
    """The next action, and one line with the reason."""

    action: Action
    reason: str = ""

    @property
    def is_last(self) -> bool:
        """Tell whether the stop is over, successful or not."""
        return self.action in {Action.DONE, Action.GIVE_UP}


class DriverEnd(BaseModel):
    """How a driver ended: its exit code, Kubernetes' reason, and the job's last message."""

    model_config = ConfigDict(frozen=True)

    exit_code: int | None = None
    reason: str = ""
    said: str = ""


class Course(BaseModel):
    """The progress of one stream's stop; it passes through the triggerer as JSON."""

    model_config = ConfigDict(frozen=True)

    stream: str
    began: datetime
    was: str
    application_uid: str = ""
    store_prefix: str = ""
    was_alive: bool = False
    found: tuple[str, ...] = ()
    asked: datetime | None = None
    killed: datetime | None = None
    forced: datetime | None = None
    swept: datetime | None = None
    grace_ends: datetime | None = None
    driverless_since: datetime | None = None
    end: DriverEnd = DriverEnd()

    @classmethod
    def of(cls, stream: str, remains: Remains, now: datetime) -> Self:
        """Begin: record what exists, and in which state."""
        was = (remains.state or "NEW") if remains.application or remains.drivers else ""
        if remains.all and not was:
            was = "REMAINS"
        return cls(
            stream=stream,
            began=now,
            was=was,
            application_uid=uid_of(remains.application),
            store_prefix=remains.store_prefix,
        ).noting(remains, now)

    def noting(self, remains: Remains, now: datetime) -> Self:
        """Return the course after one more look."""
        names = {f"{thing['kind']} {thing['metadata']['name']}" for thing in remains.all}
        changes: dict[str, Any] = {"found": tuple(sorted({*self.found, *names}))}
        if remains.drivers:
            changes |= {"driverless_since": None}
            changes |= {"was_alive": self.was_alive or any(map(is_alive, remains.drivers))}
        elif self.driverless_since is None:
            changes |= {"driverless_since": now}
        # A second deletion moves the deadline forward in the API, but not in the kubelet.
        graces = [grace_end_of(pod) for pod in remains.pods if is_going(pod)]
        changes["grace_ends"] = max(filter(None, [self.grace_ends, *graces]), default=None)
        return self.model_copy(update=changes)

    def doing(self, action: Action, manner: StopManner, now: datetime) -> Self:
        """Return the course after an action."""
        changes: dict[str, Any] = {}
        if action is Action.ASK:
            changes["asked"] = self.asked or now
            if manner.how is StopHow.AT_ONCE:
                changes["killed"] = self.killed or now
        elif action is Action.KILL:
            changes["killed"] = now
        elif action is Action.FORCE:
            changes["forced"] = now
        elif action is Action.SWEEP:
            changes["swept"] = now
        return self.model_copy(update=changes)

    def seeing(self, end: DriverEnd) -> Self:
        """Return the course with what was seen of the driver's end; known values stay."""
        known = {name: value for name, value in end if value not in (None, "")}
        return self.model_copy(update={"end": self.end.model_copy(update=known)})


def next_step(course: Course, manner: StopManner, remains: Remains, now: datetime) -> Step:
    """Return the next step. `remains` is what `course` has recorded last.

    Every action is safe to repeat; none touches data or checkpoint.
    """
    if _is_another(course, remains.application):
        return Step(
            Action.GIVE_UP,
            f"{course.stream} was started again while it was being stopped; the new stream was "
            "left unchanged. To stop it too, trigger fink_stop again",
        )
    if not remains.all:
        if _may_still_be_submitted(course, now):
            return Step(Action.WAIT, "waiting for a submission that may be in progress")
        return Step(Action.DONE)
    if course.asked is None or remains.unasked:
        return Step(Action.ASK, str(remains))
    if remains.drivers:
        return _step_with_driver(course, manner, remains, now)
    return _step_without_driver(course, manner, remains, now)


def grace_of(action: Action, manner: StopManner, pod: KubernetesObject) -> int:
    """Return the grace period of `pod` under `action`, in seconds.

    If the limit is to be enforced, Kubernetes enforces it, even if Airflow stops.
    """
    if action is Action.FORCE:
        return FORCED_GRACE_S
    if action in {Action.KILL, Action.SWEEP} or manner.how is StopHow.AT_ONCE:
        return AT_ONCE_GRACE_S
    if manner.then_at_once:
        return manner.limit_s
    own = pod.get("spec", {}).get("terminationGracePeriodSeconds") or 0
    return max(manner.limit_s + RESERVE_S, own)


def _step_with_driver(course: Course, manner: StopManner, remains: Remains, now: datetime) -> Step:
    asked = course.asked or now
    if course.killed is None:
        if now - asked < timedelta(seconds=manner.limit_s):
            return Step(Action.WAIT, f"waiting for the driver to finish its batch: {remains}")
        is_lost = not any(map(is_vouched_for, remains.drivers))
        if manner.then_at_once or (manner.force_lost and is_lost):
            return Step(Action.KILL, f"not ended after {manner.limit_s} s: {remains}")
        return Step(
            Action.GIVE_UP,
            f"{course.stream} did not end gracefully within {manner.limit_s} s; remaining: "
            f"{remains}. It is still ending and will not be restarted. Kubernetes kills it at "
            f"{_clock(course.grace_ends)} unless it ends before; the next start then repeats the "
            f"current batch. Trigger fink_stop again to confirm that it is gone."
            f"{_hint_of_lost_node(remains)}",
        )
    return _step_with_lost(course, manner, remains, now, since=course.killed)


def _step_without_driver(
    course: Course, manner: StopManner, remains: Remains, now: datetime
) -> Step:
    since = course.driverless_since or now
    if remains.application:
        if now - since < REST_LIMIT:
            return Step(Action.WAIT, f"waiting for the application to be deleted: {remains}")
        finalizers = ", ".join(remains.application["metadata"].get("finalizers") or ["none"])
        return Step(
            Action.GIVE_UP,
            f"the driver of {course.stream} is gone, but finalizers block the deletion of its "
            f"application: {finalizers}. Restore the controller that set them (for Kubernetes' "
            f"own: the controller manager), or remove them: kubectl patch sparkapplication "
            f"{course.stream} --type=merge -p "
            '\'{"metadata":{"finalizers":null}}\'',
        )
    if course.swept is None:
        if now - since < SWEEP_AFTER:
            return Step(Action.WAIT, f"waiting for Kubernetes to clean up: {remains}")
        return Step(Action.SWEEP, f"left behind: {remains}")
    return _step_with_lost(course, manner, remains, now, since=course.swept)


def _step_with_lost(
    course: Course, manner: StopManner, remains: Remains, now: datetime, since: datetime
) -> Step:
    """Return the step for objects that should be gone but still exist."""
    due = max(filter(None, [since, course.grace_ends]))
    if now - due < LOST_AFTER:
        return Step(Action.WAIT, f"to be killed by {_clock(due)} at the latest: {remains}")
    if course.forced and now - course.forced < LOST_AFTER:
        return Step(Action.WAIT, f"waiting for the forced deletion: {remains}")
    if manner.force_lost and remains.pods and course.forced is None:
        if not any(map(is_vouched_for, remains.pods)):
            return Step(Action.FORCE, f"no node reports it as running: {remains}")
        if now - due < FORCE_LIMIT:
            return Step(Action.WAIT, f"its node still reports it as running: {remains}")
    nodes = sorted({str(pod.get("spec", {}).get("nodeName", "none")) for pod in remains.pods})
    where = f" Node {', '.join(nodes)} does not confirm that they ended." if nodes else ""
    if any(map(is_vouched_for, remains.pods)) and manner.force_lost:
        where += " It still reports them as running, so they were not deleted by force."
    return Step(
        Action.GIVE_UP,
        f"{course.stream} was stopped, but after {(now - since).total_seconds():.0f} s these "
        f"remain: {remains}.{where} Check kubectl get nodes, and restore the node. Only if it is "
        "switched off permanently, trigger fink_stop with force_lost; otherwise two drivers may "
        "write one night",
    )


def _may_still_be_submitted(course: Course, now: datetime) -> bool:
    """Tell whether the operator may have been submitting when its application was deleted."""
    if not course.application_uid or course.asked is None:
        return False
    state = "" if course.was == "NEW" else course.was
    try:
        is_submitting = phase_of(state) in {Phase.STARTING, Phase.RESTARTING}
    except InvalidRequest:  # a state of an operator newer than this project
        is_submitting = True
    since = course.driverless_since or now
    return is_submitting and now - max(since, course.asked) < SUBMISSION_TIME


def _is_another(course: Course, application: KubernetesObject | None) -> bool:
    if application is None or uid_of(application) == course.application_uid:
        return False
    # The application of a driver seen without one may appear later.
    return bool(course.application_uid) or course.asked is not None


def _hint_of_lost_node(remains: Remains) -> str:
    """Return a hint if the node of a driver no longer reports it as running."""
    for pod in remains.drivers:
        node = pod.get("spec", {}).get("nodeName", "")
        if node and not is_vouched_for(pod):
            return f" Node {node} does not seem to respond: check kubectl get node {node}"
    return ""


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S} UTC" if moment else "the end of its grace period"

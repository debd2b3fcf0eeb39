"""How a stream is stopped: from what is left of it to what is to be done next; pure.

Order matters. The driver's pod is asked first, with its own period of grace, then the application
is deleted in the background, so that nobody starts the driver again. A foreground deletion would
take the executors and the driver's service away under the batch in hand. What hangs on the driver
(executors, config maps, services) goes when it has gone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.stop.remains import Remains, grace_end_of, is_alive, is_going, is_vouched_for
from fink_k8s.core.stop.stop_request import StopHow, StopManner
from fink_k8s.core.stream.states import Phase, phase_of

# Kubernetes knows no SIGTERM without a SIGKILL to come, and a kubelet does not shorten a period of
# grace that has begun (kubernetes#113606, seen with 1.34): so it is long enough for every limit to
# pass without a kill, and not so long that a hung driver lives for hours.
RESERVE_S = 60
# SIGKILL by the node that runs the pod, which confirms it; 0 would only strike the pod out.
AT_ONCE_GRACE_S = 1
FORCED_GRACE_S = 0
# How long the cluster's garbage collector, a live node and the operator take at most.
SWEEP_AFTER = timedelta(seconds=6)
LOST_AFTER = timedelta(seconds=30)
# The node controller takes a silent node's pods for not ready after 50 s.
FORCE_LIMIT = timedelta(seconds=120)
REST_LIMIT = timedelta(seconds=45)
SUBMISSION_TIME = timedelta(seconds=8)


class Action(StrEnum):
    """What is to be done next."""

    ASK = "ask"
    KILL = "kill"
    FORCE = "force"
    SWEEP = "sweep"
    WAIT = "wait"
    DONE = "done"
    GIVE_UP = "give-up"


@dataclass(frozen=True)
class Step:
    """The next action, and the line that says why."""

    action: Action
    reason: str = ""

    @property
    def is_last(self) -> bool:
        """Tell whether the stop is over, one way or the other."""
        return self.action in {Action.DONE, Action.GIVE_UP}


class DriverEnd(BaseModel):
    """How a driver ended: its exit code, Kubernetes' reason, and the job's own last word."""

    model_config = ConfigDict(frozen=True)

    exit_code: int | None = None
    reason: str = ""
    said: str = ""


class Course(BaseModel):
    """How far the stop of one stream has come; it goes through the triggerer as JSON."""

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
        """Begin: note what is there, and in which state."""
        was = (remains.state or "NEW") if remains.application or remains.drivers else ""
        if remains.all and not was:
            was = "REMAINS"
        return cls(
            stream=stream,
            began=now,
            was=was,
            application_uid=_uid_of(remains.application),
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
        # Who deletes again moves the moment forward in the API, but not in the kubelet.
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
        """Return the course with what was seen of the driver's end; what is known stays."""
        known = {name: value for name, value in end if value not in (None, "")}
        return self.model_copy(update={"end": self.end.model_copy(update=known)})


def next_step(course: Course, manner: StopManner, remains: Remains, now: datetime) -> Step:
    """Return what is to be done next. `remains` is what `course` has noted last.

    Every action may be done again without harm; none of them touches data or checkpoint.
    """
    if _is_another(course, remains.application):
        return Step(
            Action.GIVE_UP,
            f"{course.stream} was started anew while it was being stopped, and that one was left "
            "alone; stop it again if that is meant",
        )
    if not remains.all:
        if _may_still_be_submitted(course, now):
            return Step(Action.WAIT, "a submission may be under way")
        return Step(Action.DONE)
    if course.asked is None or remains.unasked:
        return Step(Action.ASK, str(remains))
    if remains.drivers:
        return _step_with_driver(course, manner, remains, now)
    return _step_without_driver(course, manner, remains, now)


def grace_of(action: Action, manner: StopManner, pod: KubernetesObject) -> int:
    """Return the seconds after which Kubernetes kills `pod`, when `action` is done to it.

    Where the limit is to be kept by force, Kubernetes itself keeps it, whatever becomes of us.
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
            return Step(Action.WAIT, f"the driver ends its batch: {remains}")
        is_lost = not any(map(is_vouched_for, remains.drivers))
        if manner.then_at_once or (manner.force_lost and is_lost):
            return Step(Action.KILL, f"not ended within {manner.limit_s} s: {remains}")
        return Step(
            Action.GIVE_UP,
            f"{course.stream} has not ended gracefully within {manner.limit_s} s; still there: "
            f"{remains}. It goes on ending and is not started again; Kubernetes kills it at "
            f"{_clock(course.grace_ends)} unless it ends before (a batch in hand is then run again "
            f"at the next start). Trigger fink_stop again to see it gone."
            f"{_hint_of_lost_node(remains)}",
        )
    return _step_with_lost(course, manner, remains, now, since=course.killed)


def _step_without_driver(
    course: Course, manner: StopManner, remains: Remains, now: datetime
) -> Step:
    since = course.driverless_since or now
    if remains.application:
        if now - since < REST_LIMIT:
            return Step(Action.WAIT, f"the application goes: {remains}")
        finalizers = ", ".join(remains.application["metadata"].get("finalizers") or ["none"])
        return Step(
            Action.GIVE_UP,
            f"the driver of {course.stream} is gone, but its application is held by the finalizers "
            f"{finalizers}; bring back who set them (Kubernetes' own: the controller manager), or "
            f"take them off: kubectl patch sparkapplication {course.stream} --type=merge -p "
            '\'{"metadata":{"finalizers":null}}\'',
        )
    if course.swept is None:
        if now - since < SWEEP_AFTER:
            return Step(Action.WAIT, f"Kubernetes clears up: {remains}")
        return Step(Action.SWEEP, f"left behind: {remains}")
    return _step_with_lost(course, manner, remains, now, since=course.swept)


def _step_with_lost(
    course: Course, manner: StopManner, remains: Remains, now: datetime, since: datetime
) -> Step:
    """Judge what should have gone at once, and is there still."""
    due = max(filter(None, [since, course.grace_ends]))
    if now - due < LOST_AFTER:
        return Step(Action.WAIT, f"killed by {_clock(due)} at the latest: {remains}")
    if course.forced and now - course.forced < LOST_AFTER:
        return Step(Action.WAIT, f"struck out: {remains}")
    if manner.force_lost and remains.pods and course.forced is None:
        if not any(map(is_vouched_for, remains.pods)):
            return Step(Action.FORCE, f"no node vouches for it: {remains}")
        if now - due < FORCE_LIMIT:
            return Step(Action.WAIT, f"its node still vouches for it: {remains}")
    nodes = sorted({str(pod.get("spec", {}).get("nodeName", "none")) for pod in remains.pods})
    where = f" Node {', '.join(nodes)} does not confirm their end:" if nodes else ""
    if any(map(is_vouched_for, remains.pods)) and manner.force_lost:
        where += " it still vouches for them, so they were not struck out:"
    return Step(
        Action.GIVE_UP,
        f"{course.stream} was ended, but is still there after {(now - since).total_seconds():.0f} "
        f"s: {remains}.{where} see kubectl get nodes, and bring it back. Only if it is off for "
        "good, trigger fink_stop with force_lost; else two drivers may write one night",
    )


def _may_still_be_submitted(course: Course, now: datetime) -> bool:
    """Tell whether the operator may have been submitting when its application was deleted."""
    if not course.application_uid or course.asked is None:
        return False
    state = "" if course.was == "NEW" else course.was
    try:
        is_submitting = phase_of(state) in {Phase.STARTING, Phase.RESTARTING}
    except InvalidRequest:  # a state of an operator that is newer than we are
        is_submitting = True
    since = course.driverless_since or now
    return is_submitting and now - max(since, course.asked) < SUBMISSION_TIME


def _is_another(course: Course, application: KubernetesObject | None) -> bool:
    if application is None or _uid_of(application) == course.application_uid:
        return False
    # A driver without application may be joined by the one that it belongs to.
    return bool(course.application_uid) or course.asked is not None


def _hint_of_lost_node(remains: Remains) -> str:
    """Say so where a driver is no longer vouched for by its node."""
    for pod in remains.drivers:
        node = pod.get("spec", {}).get("nodeName", "")
        if node and not is_vouched_for(pod):
            return f" Node {node} seems to be away: see kubectl get node {node}"
    return ""


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S} UTC" if moment else "the end of its period of grace"


def _uid_of(thing: KubernetesObject | None) -> str:
    return str(thing["metadata"].get("uid", "")) if thing else ""

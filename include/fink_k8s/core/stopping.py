"""How a stream is stopped: from what is left of it to what is to be done next; pure.

Order matters. The driver's pod is asked first, with its own period of grace, then the application
is deleted in the background, so that nobody starts the driver again. A foreground deletion would
take the executors and the driver's service away under the batch in hand. What hangs on the driver
(executors, config maps, services) goes when it has gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from fink_k8s.core.belonging import is_driver
from fink_k8s.core.diagnosis import Evidence
from fink_k8s.core.errors import InvalidRequest
from fink_k8s.core.states import Phase, phase_of
from fink_k8s.core.stop_request import StopHow, StopManner

Object = Mapping[str, Any]

# A driver that is not to be killed must not be killed by the kubelet either: a day, as good as
# for ever. A later stop can shorten it, never lengthen it.
PATIENT_GRACE_S = 86_400
# SIGKILL by the node that runs the pod, which confirms it; 0 would only strike the pod out.
AT_ONCE_GRACE_S = 1
FORCED_GRACE_S = 0
# How long the cluster's garbage collector, a live node and the operator take at most.
SWEEP_AFTER = timedelta(seconds=6)
LOST_AFTER = timedelta(seconds=30)
REST_LIMIT = timedelta(seconds=45)
SUBMISSION_TIME = timedelta(seconds=8)
_PREFIX_FLAG = "-online_data_prefix"


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


@dataclass(frozen=True)
class Remains:
    """What the cluster holds of one stream at one moment, as the API gives it, with `kind`."""

    application: Object | None = None
    pods: Sequence[Object] = ()
    others: Sequence[Object] = ()

    @property
    def all(self) -> list[Object]:
        """Return every object."""
        return [*([self.application] if self.application else []), *self.pods, *self.others]

    @property
    def drivers(self) -> list[Object]:
        """Return the drivers' pods, alive or not."""
        return [pod for pod in self.pods if is_driver(pod)]

    @property
    def unasked(self) -> bool:
        """Tell whether an application or a driver is there that is not being deleted."""
        heads = [*([self.application] if self.application else []), *self.drivers]
        return not all(_is_going(head) for head in heads)

    @property
    def store_prefix(self) -> str:
        """Return where the stream writes, by its own arguments; empty where none tell."""
        spec = (self.application or {}).get("spec") or {}
        words = [*(spec.get("arguments") or ())]
        for driver in self.drivers:
            for container in driver.get("spec", {}).get("containers") or ():
                words += container.get("args") or ()
        return next((after for word, after in pairwise(words) if word == _PREFIX_FLAG), "")

    @property
    def state(self) -> str:
        """Return the application's state, or what the driver's pod amounts to; '' where new."""
        return Evidence(self.application, self.pods).state

    def __str__(self) -> str:
        """Name every object, with what there is to know of its state."""
        return ", ".join(map(_described, self.all)) or "nothing"


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
            changes |= {"was_alive": self.was_alive or any(map(_is_alive, remains.drivers))}
        elif self.driverless_since is None:
            changes |= {"driverless_since": now}
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


def grace_of(action: Action, manner: StopManner) -> int:
    """Return the seconds that a driver is given by `action`.

    Where the limit is to be kept by force, Kubernetes itself keeps it, whatever becomes of us.
    """
    if action is Action.FORCE:
        return FORCED_GRACE_S
    if action is Action.KILL or manner.how is StopHow.AT_ONCE:
        return AT_ONCE_GRACE_S
    return manner.limit_s if manner.then_at_once else PATIENT_GRACE_S


def _step_with_driver(course: Course, manner: StopManner, remains: Remains, now: datetime) -> Step:
    asked = course.asked or now
    if course.killed is None:
        if now - asked < timedelta(seconds=manner.limit_s):
            return Step(Action.WAIT, f"the driver ends its batch: {remains}")
        if manner.then_at_once:
            return Step(Action.KILL, f"not ended within {manner.limit_s} s: {remains}")
        return Step(
            Action.GIVE_UP,
            f"{course.stream} has not ended gracefully within {manner.limit_s} s; still there: "
            f"{remains}. It goes on ending and is not started again; trigger fink_stop again to "
            "wait longer, or with how=at-once to kill it (the batch in hand is then run again at "
            f"the next start).{_hint_of_lost_node(remains)}",
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
    if now - since < LOST_AFTER:
        return Step(Action.WAIT, f"being ended: {remains}")
    if manner.force_lost and remains.pods and course.forced is None:
        return Step(Action.FORCE, f"its node does not confirm: {remains}")
    if course.forced and now - course.forced < LOST_AFTER:
        return Step(Action.WAIT, f"struck out: {remains}")
    nodes = sorted({str(pod.get("spec", {}).get("nodeName", "none")) for pod in remains.pods})
    where = f" Node {', '.join(nodes)} does not confirm their end." if nodes else ""
    return Step(
        Action.GIVE_UP,
        f"{course.stream} was ended, but {remains} is still there after "
        f"{LOST_AFTER.total_seconds():.0f} s.{where} Bring the node back; only if it is off for "
        "good, trigger fink_stop with force_lost, else two drivers may write one night",
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


def _is_another(course: Course, application: Object | None) -> bool:
    if application is None or _uid_of(application) == course.application_uid:
        return False
    # A driver without application may be joined by the one that it belongs to.
    return bool(course.application_uid) or course.asked is not None


def _hint_of_lost_node(remains: Remains) -> str:
    """Say so where a driver is no longer vouched for by its node, though it runs."""
    for pod in remains.drivers:
        status = pod.get("status", {})
        states = [one.get("state", {}) for one in status.get("containerStatuses") or ()]
        ready = {one["type"]: one["status"] for one in status.get("conditions") or ()}
        if ready.get("Ready") == "False" and any("running" in state for state in states):
            node = pod.get("spec", {}).get("nodeName", "")
            return f" Node {node} seems to be away: see kubectl get node {node}"
    return ""


def _described(thing: Object) -> str:
    metadata = thing["metadata"]
    words = []
    if thing["kind"] == "SparkApplication":
        words.append(Evidence(thing).state or "new")
    elif thing["kind"] == "Pod":
        words.append(str(thing.get("status", {}).get("phase", "")))
    if _is_going(thing):
        words.append("being deleted")
    return f"{thing['kind']} {metadata['name']}" + (f" ({', '.join(words)})" if words else "")


def _is_alive(pod: Object) -> bool:
    """Tell whether a container of the pod was started, and has not ended."""
    return pod.get("status", {}).get("phase") in {"Running", "Unknown"}


def _is_going(thing: Object) -> bool:
    return bool(thing["metadata"].get("deletionTimestamp"))


def _uid_of(thing: Object | None) -> str:
    return str(thing["metadata"].get("uid", "")) if thing else ""

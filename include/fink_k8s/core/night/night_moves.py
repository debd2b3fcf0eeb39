"""The next move of the task that watches a night; pure, the counterpart of the stop's `next_step`.

A situation is what has happened and what the task found; `next_move` maps it to a move.
`WatchNightOperator` finds situations and carries out moves; it decides nothing.

Two rules apply throughout. First, no driver is started while another one may be alive: a stream
that is no longer the one that died belongs to another run, and is only watched. Second, a stream
that was asked to end stays ended. A driver without an application leaves no record of why it is
gone, so in that case the recorded stop requests decide.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from fink_k8s.core.base.kubernetes import KubernetesObject, Manifest
from fink_k8s.core.base.names import ANNOTATION_SPEC_HASH
from fink_k8s.core.night.restart_log import UNSEEN
from fink_k8s.core.night.watch_event import ENDED_BY_SOMEBODY, Sign, WatchEvent
from fink_k8s.core.stream.manifests import spec_hash
from fink_k8s.core.stream.restarts import (
    Restart,
    RestartedBy,
    crash_loop,
    pause_before,
    started_again,
)
from fink_k8s.core.stream.stream_request import SubmitWith

ENDED_ALREADY = "the stream has already ended"


class Death(WatchEvent):
    """A stream that died, and the manifest to restart it with, including its restart history."""

    manifest: dict[str, Any]


class PendingStart(BaseModel):
    """A start that is due; it is stored, so it survives the worker.

    A stop request of `since` or later is meant for this stream.
    """

    model_config = ConfigDict(frozen=True)

    manifest: dict[str, Any]
    since: AwareDatetime


@dataclass(frozen=True)
class WatchRules:
    """The settings of the run."""

    manifest: Manifest
    submit_with: SubmitWith = SubmitWith.SPARK_OPERATOR
    restarts: int = 3
    """The maximum number of restarts in a row."""
    is_night_over: bool = False
    """Whether the stream only reads the rest of the night: then a stopped one stays stopped."""

    @property
    def has_application(self) -> bool:
        """Tell whether an application outlives the driver, and so shows how it ended."""
        return self.submit_with is not SubmitWith.SPARK_SUBMIT

    def asks_notes(self, event: WatchEvent) -> bool:
        """Tell whether only the recorded stop requests can explain how a watch ended."""
        return event.leaves_nothing and not self.has_application


@dataclass(frozen=True)
class WatchRecord:
    """What is recorded about the stream outside the cluster; None if nothing is."""

    pending: PendingStart | None = None
    begun: datetime | None = None
    """Since when this task owns the stream, over all tries; earlier stop requests do not count."""
    asked_to_end: datetime | None = None
    """When the stream was last asked to end."""

    def was_stopped_since(self, moment: datetime | None) -> bool:
        """Tell whether the stream was asked to end at `moment` or later."""
        return bool(moment and self.asked_to_end and self.asked_to_end >= moment)


@dataclass(frozen=True)
class TryBegins:
    """A try of the task begins; `is_held` is true if an object has the stream's name."""

    is_held: bool


@dataclass(frozen=True)
class WatchEnds:
    """The trigger has fired; `application` is the remaining application of a dead stream."""

    event: WatchEvent
    application: KubernetesObject | None = None


@dataclass(frozen=True)
class PauseEnds:
    """The pause before a restart is over.

    `holders` are the uids of objects with the stream's name; `living_born` is when the live driver
    was created, or None if there is none.
    """

    death: Death
    holders: frozenset[str] = frozenset()
    living_born: datetime | None = None


@dataclass(frozen=True)
class RemainsEnd:
    """The remains of the dead stream were stopped, as far as possible."""

    death: Death


Situation = TryBegins | WatchEnds | PauseEnds | RemainsEnd


@dataclass(frozen=True)
class WatchOn:
    """Watch the stream as it is."""

    why: str = ""


@dataclass(frozen=True)
class PauseThenRestart:
    """Record what to start, and wait."""

    death: Death
    pause: timedelta
    since: datetime
    """Since when a stop request is meant for the stream that died."""


@dataclass(frozen=True)
class EndRemains:
    """Stop the remains of the dead stream."""

    death: Death


@dataclass(frozen=True)
class StartNow:
    """Start the stream, then watch it; `cause` is why it died, if it did."""

    manifest: Manifest
    cause: str = ""


@dataclass(frozen=True)
class FinishWatch:
    """Succeed with the result of the watch."""

    event: WatchEvent


@dataclass(frozen=True)
class GiveUpWatch:
    """Fail permanently: a person has to act."""

    reason: str


Move = WatchOn | PauseThenRestart | EndRemains | StartNow | FinishWatch | GiveUpWatch


def next_move(situation: Situation, record: WatchRecord, rules: WatchRules, now: datetime) -> Move:
    """Return the next move of the task. `now` is an aware datetime."""
    match situation:
        case TryBegins(is_held):
            return _at_begin(is_held, record, rules, now)
        case WatchEnds(event, application):
            return _after_watch(event, application, record, rules, now)
        case PauseEnds():
            return _after_pause(situation, record, rules)
        case RemainsEnd(death):
            if record.pending and record.was_stopped_since(record.pending.since):
                return WatchOn("it has been asked to end in the meantime")
            return StartNow(death.manifest, death.reason)


def _at_begin(is_held: bool, record: WatchRecord, rules: WatchRules, now: datetime) -> Move:
    """Adopt the stream as it is, or start the one that an earlier try was about to start.

    The trigger reports a dead stream; the restart policy then decides.
    """
    if is_held and not record.pending:
        return WatchOn()
    if record.was_stopped_since(record.pending.since if record.pending else record.begun):
        return _after_end(WatchEvent(sign=Sign.GONE, reason=ENDED_BY_SOMEBODY), rules)
    if record.pending:
        return StartNow(record.pending.manifest)
    if rules.is_night_over:
        gone = WatchEvent(sign=Sign.GONE, reason=ENDED_ALREADY)
        return _after_watch(gone, None, record, rules, now)
    return StartNow(rules.manifest)


def _after_watch(
    event: WatchEvent,
    application: KubernetesObject | None,
    record: WatchRecord,
    rules: WatchRules,
    now: datetime,
) -> Move:
    event = _explained(event, record, rules, now)
    if event.sign is not Sign.DIED:
        return _after_end(event, rules)
    pause = pause_before(event.restarts, timedelta(seconds=event.lived_s), rules.restarts)
    if pause is None:
        return GiveUpWatch(
            f"{crash_loop(event.restarts, event.reason)} The stream was left unchanged; "
            "trigger the night DAG again when the cause is fixed"
        )
    restart = Restart(at=now, cause=event.reason, by=RestartedBy.FINK, lived_s=event.lived_s)
    ran = _as_it_ran(event, application, rules)
    manifest = started_again(ran, [*event.restarts, restart])
    since = _meant_since(event, record) or now
    return PauseThenRestart(Death(**dict(event), manifest=manifest), pause, since)


def _after_end(event: WatchEvent, rules: WatchRules) -> Move:
    """Succeed at the night's end; after the night, succeed also if the stream was stopped.

    The stop comes next anyway, and the proof shows whether it came too early.
    """
    is_end = event.sign in {Sign.TIME_IS_UP, Sign.DRAINED}
    if is_end or (event.sign is Sign.GONE and rules.is_night_over):
        return FinishWatch(event)
    return GiveUpWatch(event.reason)


def _after_pause(situation: PauseEnds, record: WatchRecord, rules: WatchRules) -> Move:
    """Stop the remains of the dead stream, unless they belong to another run by now."""
    death = situation.death
    if not rules.has_application and record.was_stopped_since(_meant_since(death, record)):
        return _after_end(_ended(death), rules)
    if death.born and situation.living_born and situation.living_born > death.born:
        return WatchOn("it already has a new driver")
    is_the_one = death.holder in situation.holders if death.holder else not situation.holders
    if not is_the_one:
        # Somebody has restarted or stopped it; that decision stands.
        return WatchOn("it is no longer the stream that died")
    if record.pending and record.was_stopped_since(record.pending.since):
        return WatchOn("it has been asked to end in the meantime")
    return EndRemains(death)


def _explained(
    event: WatchEvent, record: WatchRecord, rules: WatchRules, now: datetime
) -> WatchEvent:
    """Return the event; if nothing is left of the stream, the recorded stops determine its sign.

    An application stays when its driver dies, so a missing application was deleted by somebody. A
    driver without an application leaves nothing: it has died, unless it was asked to end.
    """
    if not rules.asks_notes(event):
        return event
    since = _meant_since(event, record)
    if record.was_stopped_since(since):
        return _ended(event)
    if event.sign is Sign.DIED:
        return event
    # If it was not seen alive, assume that it was: a crash loop would have been seen.
    lived = event.lived_s or (now - (since or now)).total_seconds()
    return event.model_copy(update={"sign": Sign.DIED, "reason": UNSEEN, "lived_s": lived})


def _meant_since(event: WatchEvent, record: WatchRecord) -> datetime | None:
    """Return since when a stop request applies to the last driver seen.

    An earlier request was for an earlier driver, which an upgrade, for example, has stopped.
    """
    return event.born or record.begun


def _ended(event: WatchEvent) -> WatchEvent:
    """Return the event of a stream that was stopped."""
    return event.model_copy(update={"sign": Sign.GONE, "reason": ENDED_BY_SOMEBODY})


def _as_it_ran(
    event: WatchEvent, application: KubernetesObject | None, rules: WatchRules
) -> dict[str, Any]:
    """Return the manifest of the dead stream, which may differ from this run's manifest.

    A driver without an application may leave nothing; the trigger has recorded its annotations.
    """
    if application:
        return {**rules.manifest, **application}
    if not event.spec:
        return rules.manifest
    notes = {ANNOTATION_SPEC_HASH: spec_hash(event.spec)}
    metadata = {**rules.manifest["metadata"], "annotations": notes}
    return {**rules.manifest, "metadata": metadata, "spec": event.spec}

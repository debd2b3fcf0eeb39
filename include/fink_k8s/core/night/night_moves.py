"""What the task that watches a night does next; pure, the twin of `next_step` of the stop.

A situation is what has happened, and what was found when the task looked; `next_move` answers it
with a move. `WatchNightOperator` finds the one and carries out the other, and decides nothing.

Two rules are behind all of it. No driver is started while another one may live: what no longer is
the stream that died belongs to somebody else, and is watched. And a stream that somebody has asked
to end stays ended; a driver without an application leaves nothing that tells why it is gone, so
there the notes of the stops have to.
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

ENDED_ALREADY = "the stream has been ended already"


class Death(WatchEvent):
    """A stream that died, and the manifest with which it is started again, its history in it."""

    manifest: dict[str, Any]


class PendingStart(BaseModel):
    """A start that is due since a moment; it outlives the worker that was to carry it out."""

    model_config = ConfigDict(frozen=True)

    manifest: dict[str, Any]
    since: AwareDatetime


@dataclass(frozen=True)
class WatchRules:
    """What the run has asked for."""

    manifest: Manifest
    submit_with: SubmitWith = SubmitWith.SPARK_OPERATOR
    restarts: int = 3
    """How many restarts in a row there may be."""
    is_night_over: bool = False
    """Whether the stream is only to read what is left: one that was ended stays so."""

    @property
    def has_application(self) -> bool:
        """Tell whether an application outlives the driver, and so tells who ended it."""
        return self.submit_with is not SubmitWith.SPARK_SUBMIT

    def asks_notes(self, event: WatchEvent) -> bool:
        """Tell whether only the notes of the stops can say how a watch ended."""
        return event.leaves_nothing and not self.has_application


@dataclass(frozen=True)
class WatchRecord:
    """What is remembered of the stream outside of the cluster; None: nothing."""

    pending: PendingStart | None = None
    begun: datetime | None = None
    """Since when the stream is this task's, over all tries: an earlier order was not meant."""
    asked_to_end: datetime | None = None
    """When somebody last asked the stream to end."""

    def was_stopped_since(self, moment: datetime | None) -> bool:
        """Tell whether somebody has asked the stream to end at `moment` or later."""
        return bool(moment and self.asked_to_end and self.asked_to_end >= moment)


@dataclass(frozen=True)
class TryBegins:
    """A try of the task begins; `is_held` tells whether anything holds the stream's name."""

    is_held: bool


@dataclass(frozen=True)
class WatchEnds:
    """The trigger has fired; `application` is what the cluster has of one that died."""

    event: WatchEvent
    application: KubernetesObject | None = None


@dataclass(frozen=True)
class PauseEnds:
    """The pause before a restart is over.

    `holders` are the uids of what holds the stream's name, `living_born` is when the driver that
    lives was made; None where none lives.
    """

    death: Death
    holders: frozenset[str] = frozenset()
    living_born: datetime | None = None


@dataclass(frozen=True)
class RemainsEnd:
    """What was left of the dead stream was brought to its end, as far as it went."""

    death: Death


Situation = TryBegins | WatchEnds | PauseEnds | RemainsEnd


@dataclass(frozen=True)
class WatchOn:
    """Watch the stream as it is."""

    why: str = ""


@dataclass(frozen=True)
class PauseThenRestart:
    """Note what is to be started, and wait."""

    death: Death
    pause: timedelta


@dataclass(frozen=True)
class EndRemains:
    """Bring what is left of the dead stream to its end."""

    death: Death


@dataclass(frozen=True)
class StartNow:
    """Start the stream, then watch it; `cause` is what it died of, if it did."""

    manifest: Manifest
    cause: str = ""


@dataclass(frozen=True)
class FinishWatch:
    """Succeed with what the watch saw."""

    event: WatchEvent


@dataclass(frozen=True)
class GiveUpWatch:
    """Fail for good: somebody has to act."""

    reason: str


Move = WatchOn | PauseThenRestart | EndRemains | StartNow | FinishWatch | GiveUpWatch


def next_move(situation: Situation, record: WatchRecord, rules: WatchRules, now: datetime) -> Move:
    """Return what the task does next. `now` is aware."""
    match situation:
        case TryBegins(is_held):
            return _at_begin(is_held, record, rules, now)
        case WatchEnds(event, application):
            return _after_watch(event, application, record, rules, now)
        case PauseEnds():
            return _after_pause(situation, record, rules)
        case RemainsEnd(death):
            if record.pending and record.was_stopped_since(record.pending.since):
                return WatchOn("somebody has asked it to end meanwhile")
            return StartNow(death.manifest, death.reason)


def _at_begin(is_held: bool, record: WatchRecord, rules: WatchRules, now: datetime) -> Move:
    """Take the stream as it is; one that an earlier try was about to start is started.

    One that is dead is the trigger's to report: it is started again by the policy, or not at all.
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
            f"{crash_loop(event.restarts, event.reason)} The stream was left as it is; trigger "
            "fink_night again when the cause is fixed"
        )
    restart = Restart(at=now, cause=event.reason, by=RestartedBy.FINK, lived_s=event.lived_s)
    ran = _as_it_ran(event, application, rules)
    manifest = started_again(ran, [*event.restarts, restart])
    return PauseThenRestart(Death(**dict(event), manifest=manifest), pause)


def _after_end(event: WatchEvent, rules: WatchRules) -> Move:
    """Succeed at the night's end; of a night that is over, also where somebody ended the stream.

    That is what comes next anyway, and the proof will show whether it came too early.
    """
    is_end = event.sign in {Sign.TIME_IS_UP, Sign.DRAINED}
    if is_end or (event.sign is Sign.GONE and rules.is_night_over):
        return FinishWatch(event)
    return GiveUpWatch(event.reason)


def _after_pause(situation: PauseEnds, record: WatchRecord, rules: WatchRules) -> Move:
    """Bring what is left of the dead stream to its end, unless it is somebody else's by now."""
    death = situation.death
    if not rules.has_application and record.was_stopped_since(_meant_since(death, record)):
        return _after_end(_ended(death), rules)
    if death.born and situation.living_born and situation.living_born > death.born:
        return WatchOn("it has a new driver already")
    is_the_one = death.holder in situation.holders if death.holder else not situation.holders
    if not is_the_one:
        # Somebody has started it anew, or ended it; both are theirs to decide.
        return WatchOn("it is no longer the one that died")
    if record.pending and record.was_stopped_since(record.pending.since):
        return WatchOn("somebody has asked it to end meanwhile")
    return EndRemains(death)


def _explained(
    event: WatchEvent, record: WatchRecord, rules: WatchRules, now: datetime
) -> WatchEvent:
    """Return the event, its sign as the notes tell it where nothing is left of the stream.

    An application stays when its driver dies, so that one which is missing was deleted by
    somebody. A driver without one leaves nothing: it has died unless its end was asked for.
    """
    if not rules.asks_notes(event):
        return event
    since = _meant_since(event, record)
    if record.was_stopped_since(since):
        return _ended(event)
    if event.sign is Sign.DIED:
        return event
    # Whoever has not seen it live takes it to have lived: a crash loop is seen.
    lived = event.lived_s or (now - (since or now)).total_seconds()
    return event.model_copy(update={"sign": Sign.DIED, "reason": UNSEEN, "lived_s": lived})


def _meant_since(event: WatchEvent, record: WatchRecord) -> datetime | None:
    """Return since when an order to stop is meant for the driver that was seen last.

    An earlier one was meant for an earlier driver, which an upgrade, say, has ended.
    """
    return event.born or record.begun


def _ended(event: WatchEvent) -> WatchEvent:
    """Return the event of a stream that somebody ended."""
    return event.model_copy(update={"sign": Sign.GONE, "reason": ENDED_BY_SOMEBODY})


def _as_it_ran(
    event: WatchEvent, application: KubernetesObject | None, rules: WatchRules
) -> dict[str, Any]:
    """Return what the dead stream was made from, which this run may have asked for otherwise.

    Nothing may be left of a driver without application: what it bore, the trigger has seen.
    """
    if application:
        return {**rules.manifest, **application}
    if not event.spec:
        return rules.manifest
    notes = {ANNOTATION_SPEC_HASH: spec_hash(event.spec)}
    metadata = {**rules.manifest["metadata"], "annotations": notes}
    return {**rules.manifest, "metadata": metadata, "spec": event.spec}

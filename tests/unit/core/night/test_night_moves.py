"""What a night's task does next, as a table, and what holds over any history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.night.night_moves import (
    ENDED_ALREADY,
    Death,
    EndRemains,
    FinishWatch,
    GiveUpWatch,
    PauseEnds,
    PauseThenRestart,
    PendingStart,
    RemainsEnd,
    StartNow,
    TryBegins,
    WatchEnds,
    WatchOn,
    WatchRecord,
    WatchRules,
    next_move,
)
from fink_k8s.core.night.restart_log import UNSEEN
from fink_k8s.core.night.watch_event import ENDED_BY_SOMEBODY, Sign, WatchEvent
from fink_k8s.core.stream.manifests import hash_of, make_spark_application
from fink_k8s.core.stream.restarts import HEALTHY_SPAN, Restart, RestartedBy, restarts_of
from fink_k8s.core.stream.stream_request import StreamRequest, SubmitWith

NOW = datetime(2026, 1, 2, 2, 0, tzinfo=UTC)
REQUEST = StreamRequest(night="20260101", topic="t")
SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
MANIFEST = make_spark_application(REQUEST, SETTINGS, "image@sha256:0", "3.5.7")
OTHER = make_spark_application(REQUEST, SETTINGS, "image@sha256:1", "3.5.7")
NOTHING = WatchRecord()
BY_OPERATOR = WatchRules(MANIFEST)
BY_SUBMIT = WatchRules(MANIFEST, SubmitWith.SPARK_SUBMIT)
SHORT, LONG = 5.0, HEALTHY_SPAN.total_seconds()
WAYS = st.sampled_from(SubmitWith)


def before(minutes):
    return NOW - timedelta(minutes=minutes)


def by_fink(lived_s=SHORT):
    return Restart(at=before(1), cause="it died", by=RestartedBy.FINK, lived_s=lived_s)


def event(sign="died", **fields):
    return WatchEvent(**{"sign": sign, "reason": "why", "lived_s": SHORT, "holder": "a"} | fields)


def death(**fields):
    return Death(**dict(event(**fields)), manifest=OTHER)


def pending(minutes=1, manifest=OTHER):
    return PendingStart(manifest=manifest, since=before(minutes))


def move(situation, record=NOTHING, rules=BY_OPERATOR, **changes):
    return next_move(situation, record, replace(rules, **changes), NOW)


OVER = {"is_night_over": True}
STOPPED = WatchRecord(pending(2), before(60), asked_to_end=before(1))
STOPPED_BEFORE = WatchRecord(pending(2), before(60), asked_to_end=before(3))


@pytest.mark.parametrize(
    ("is_held", "record", "rules", "expected"),
    [
        (True, NOTHING, {}, WatchOn()),
        (True, NOTHING, OVER, WatchOn()),
        (False, NOTHING, {}, StartNow(MANIFEST)),
        (False, WatchRecord(asked_to_end=before(1)), {}, StartNow(MANIFEST)),
        (False, WatchRecord(pending()), {}, StartNow(OTHER)),
        (False, WatchRecord(pending()), OVER, StartNow(OTHER)),
        (True, WatchRecord(pending()), {}, StartNow(OTHER)),
        (False, STOPPED_BEFORE, {}, StartNow(OTHER)),
        (False, STOPPED, {}, GiveUpWatch(ENDED_BY_SOMEBODY)),
        # A try that died while the stream was being stopped; or somebody started it again.
        (
            False,
            WatchRecord(begun=before(5), asked_to_end=before(1)),
            {},
            GiveUpWatch(ENDED_BY_SOMEBODY),
        ),
        (False, WatchRecord(begun=before(1), asked_to_end=before(5)), {}, StartNow(MANIFEST)),
        (True, WatchRecord(begun=before(5), asked_to_end=before(1)), {}, WatchOn()),
    ],
)
def test_a_try_takes_what_runs_and_starts_what_does_not(is_held, record, rules, expected):
    assert move(TryBegins(is_held), record, **rules) == expected


def test_a_night_that_is_over_and_was_stopped_is_not_begun_again():
    ended = move(TryBegins(is_held=False), **OVER)
    assert ended == FinishWatch(WatchEvent(sign=Sign.GONE, reason=ENDED_ALREADY))
    assert isinstance(move(TryBegins(is_held=False), STOPPED, **OVER), FinishWatch)


@pytest.mark.parametrize("asked", [None, before(61)])
def test_of_a_night_that_is_over_what_nobody_stopped_is_read_on_by_spark_submit(asked):
    """Nothing is left of its driver: it has died, unless somebody has asked for its end."""
    record = WatchRecord(begun=before(60), asked_to_end=asked)
    assert isinstance(move(TryBegins(is_held=False), record, BY_SUBMIT, **OVER), PauseThenRestart)


@pytest.mark.parametrize("sign", ["time-is-up", "drained"])
@pytest.mark.parametrize("is_night_over", [False, True])
def test_the_end_is_a_success(sign, is_night_over):
    seen = event(sign, lag=3, restarts=(by_fink(),))
    assert move(WatchEnds(seen), is_night_over=is_night_over) == FinishWatch(seen)


@pytest.mark.parametrize(
    ("sign", "is_night_over", "kind"),
    [
        ("gone", False, GiveUpWatch),
        ("gone", True, FinishWatch),
        ("unwatchable", False, GiveUpWatch),
        ("unwatchable", True, GiveUpWatch),
    ],
)
def test_what_somebody_has_to_see_to_fails(sign, is_night_over, kind):
    assert isinstance(move(WatchEnds(event(sign)), is_night_over=is_night_over), kind)


def test_a_dead_stream_waits_and_is_then_started_as_it_ran_with_its_history():
    there = {**OTHER, "metadata": {**OTHER["metadata"], "uid": "a"}, "status": {}}
    seen = event(restarts=(by_fink(),))
    paused = move(WatchEnds(seen, there))
    assert paused.pause == timedelta(seconds=20)
    assert paused.death.manifest["spec"] == OTHER["spec"]
    *earlier, last = restarts_of(paused.death.manifest)
    assert earlier == [by_fink()]
    assert (last.at, last.by, last.cause, last.lived_s) == (NOW, RestartedBy.FINK, "why", SHORT)


def test_of_a_driver_without_application_what_it_bore_is_started_again():
    paused = move(WatchEnds(event(holder="", spec=OTHER["spec"])), rules=BY_SUBMIT)
    assert hash_of(paused.death.manifest) == hash_of(OTHER)
    assert paused.death.manifest["metadata"]["labels"] == MANIFEST["metadata"]["labels"]


@pytest.mark.parametrize(("budget", "row"), [(0, 0), (3, 3), (1, 4)])
def test_a_crash_loop_is_left_to_look_at(budget, row):
    seen = event(restarts=(by_fink(),) * row)
    given_up = move(WatchEnds(seen), restarts=budget)
    assert f"{row} times in a row" in given_up.reason
    assert "why" in given_up.reason


@pytest.mark.parametrize("sign", ["died", "gone"])
@pytest.mark.parametrize(
    ("born", "asked", "is_ended"),
    [
        (None, None, False),
        (None, before(70), False),  # it was meant for an earlier driver
        (None, before(50), True),
        (before(10), before(50), False),
        (before(10), before(5), True),
    ],
)
def test_the_notes_tell_who_ended_a_driver_that_leaves_nothing(sign, born, asked, is_ended):
    seen = event(sign, holder="", born=born)
    record = WatchRecord(begun=before(60), asked_to_end=asked)
    answer = move(WatchEnds(seen), record, BY_SUBMIT)
    if is_ended:
        assert answer == GiveUpWatch(ENDED_BY_SOMEBODY)
    else:
        assert answer.death.reason == ("why" if sign == "died" else UNSEEN)


def test_one_that_nobody_saw_die_counts_as_one_that_lived_since_it_was_begun():
    record = WatchRecord(begun=before(60))
    paused = move(WatchEnds(event("gone", holder="", lived_s=0)), record, BY_SUBMIT)
    assert paused.death.lived_s == 3600


@pytest.mark.parametrize(
    ("holder", "found", "born", "living", "expected"),
    [
        ("a", {"a"}, None, None, EndRemains),
        ("a", {"a", "b"}, None, None, EndRemains),
        ("a", {"b"}, None, None, WatchOn),
        ("a", set(), None, None, WatchOn),
        ("", set(), None, None, EndRemains),
        ("", {"b"}, None, None, WatchOn),
        ("a", {"a"}, before(9), before(8), WatchOn),
        ("a", {"a"}, before(9), before(9), EndRemains),
        ("a", {"a"}, None, before(8), EndRemains),
    ],
)
def test_after_the_pause_only_the_one_that_died_is_ended(holder, found, born, living, expected):
    dead = death(holder=holder, born=born)
    answer = move(PauseEnds(dead, frozenset(found), living), WatchRecord(pending()))
    assert isinstance(answer, expected)


def test_one_that_was_stopped_in_the_pause_is_not_started():
    dead = death()
    there = PauseEnds(dead, frozenset("a"))
    assert move(there, STOPPED, BY_SUBMIT) == GiveUpWatch(ENDED_BY_SOMEBODY)
    assert isinstance(move(there, STOPPED, BY_SUBMIT, **OVER), FinishWatch)
    # Its application goes, or another run's upgrade replaces it: the trigger sees which.
    assert isinstance(move(there, STOPPED), WatchOn)
    assert isinstance(move(RemainsEnd(dead), STOPPED), WatchOn)
    assert move(RemainsEnd(dead), STOPPED_BEFORE) == StartNow(OTHER, "why")


MOMENTS = st.none() | st.integers(0, 120).map(before)
RESTARTS = st.lists(
    st.builds(
        Restart,
        at=st.integers(0, 600).map(before),
        cause=st.text(max_size=20),
        by=st.sampled_from(RestartedBy),
        lived_s=st.sampled_from([0.0, SHORT, LONG]),
    ),
    max_size=12,
).map(tuple)
EVENTS = st.builds(
    WatchEvent,
    sign=st.sampled_from(Sign),
    reason=st.text(max_size=20),
    lived_s=st.sampled_from([0.0, SHORT, LONG]),
    holder=st.sampled_from(["", "a"]),
    restarts=RESTARTS,
    born=MOMENTS,
    spec=st.sampled_from([{}, OTHER["spec"]]),
)
DEATHS = EVENTS.map(lambda seen: Death(**dict(seen), manifest=OTHER))
PENDING = st.none() | st.integers(0, 120).map(pending)
RECORDS = st.builds(WatchRecord, pending=PENDING, begun=MOMENTS, asked_to_end=MOMENTS)
RULES = st.builds(
    WatchRules,
    st.just(MANIFEST),
    submit_with=WAYS,
    restarts=st.integers(0, 5),
    is_night_over=st.booleans(),
)
HOLDERS = st.frozensets(st.sampled_from(["a", "b"]))
SITUATIONS = st.one_of(
    st.builds(TryBegins, st.booleans()),
    st.builds(WatchEnds, EVENTS, st.sampled_from([None, OTHER])),
    st.builds(PauseEnds, DEATHS, HOLDERS, MOMENTS),
    st.builds(RemainsEnd, DEATHS),
)
STARTS = (StartNow, EndRemains)
UNHURRIED = settings(deadline=None)
"""Other tests may have the machine for a while."""


@UNHURRIED
@given(SITUATIONS, RECORDS, RULES)
def test_a_stop_on_record_is_never_answered_by_a_start(situation, record, rules):
    if isinstance(situation, WatchEnds):
        return  # see below
    if isinstance(situation, PauseEnds | RemainsEnd) and not record.pending:
        return  # it is kept for as long as the pause lasts
    answer = next_move(situation, record, rules, NOW)
    if record.was_stopped_since(record.pending.since if record.pending else record.begun):
        assert isinstance(answer, WatchOn | FinishWatch | GiveUpWatch)


@UNHURRIED
@given(EVENTS, MOMENTS, st.integers(0, 120), RULES, st.sampled_from([Sign.DIED, Sign.GONE]))
def test_what_was_asked_to_end_and_left_nothing_is_never_started(seen, begun, ago, rules, sign):
    seen = seen.model_copy(update={"sign": sign, "holder": ""})
    record = WatchRecord(begun=begun, asked_to_end=before(ago))
    rules = replace(rules, submit_with=SubmitWith.SPARK_SUBMIT, restarts=99)
    since = seen.born or begun
    is_meant = since is not None and before(ago) >= since
    answer = next_move(WatchEnds(seen), record, rules, NOW)
    assert isinstance(answer, FinishWatch | GiveUpWatch if is_meant else PauseThenRestart)


@UNHURRIED
@given(SITUATIONS, RECORDS, RULES)
def test_nothing_is_started_before_a_pause_nor_beside_what_holds_the_name(situation, record, rules):
    """A start of what was pending, or of what has ended, is under the lock of the name."""
    answer = next_move(situation, record, rules, NOW)
    match situation:
        case TryBegins(is_held=True) if record.pending is None:
            assert answer == WatchOn()
        case WatchEnds():
            assert not isinstance(answer, STARTS)


@UNHURRIED
@given(DEATHS, HOLDERS, MOMENTS, WAYS)
def test_what_may_live_is_never_ended_for_a_start(dead, found, living, way):
    rules = WatchRules(MANIFEST, way)
    answer = next_move(PauseEnds(dead, found, living), NOTHING, rules, NOW)
    is_younger = bool(dead.born and living and living > dead.born)
    is_other = dead.holder not in found if dead.holder else bool(found)
    assert isinstance(answer, WatchOn if is_younger or is_other else EndRemains)


@UNHURRIED
@given(EVENTS, RECORDS, RULES)
def test_time_that_is_up_always_ends_the_watch(seen, record, rules):
    over = seen.model_copy(update={"sign": Sign.TIME_IS_UP})
    assert next_move(WatchEnds(over), record, rules, NOW) == FinishWatch(over)


@UNHURRIED
@given(SITUATIONS, RECORDS, RULES)
def test_no_move_loses_the_history(situation, record, rules):
    answer = next_move(situation, record, rules, NOW)
    known = getattr(situation, "event", getattr(situation, "death", WatchEvent(sign=Sign.GONE)))
    match answer:
        case PauseThenRestart(dead):
            assert tuple(restarts_of(dead.manifest)[:-1]) == known.restarts == dead.restarts
        case FinishWatch(seen):
            assert seen.restarts == known.restarts
        case EndRemains(dead):
            assert dead == situation.death
        case StartNow(manifest):
            asked = record.pending.manifest if record.pending else MANIFEST
            assert manifest == getattr(known, "manifest", asked)


@UNHURRIED
@given(
    st.lists(st.tuples(st.floats(0, 2 * LONG), st.booleans()), max_size=25),
    st.integers(0, 5),
    WAYS,
)
def test_a_night_of_deaths_is_never_started_more_often_in_a_row_than_the_budget(lives, budget, way):
    """A worker may die before any start; the next try makes up for it."""
    rules = WatchRules(MANIFEST, way, budget)
    record, manifest, now, row = WatchRecord(begun=NOW), MANIFEST, NOW, 0
    for lived_s, worker_dies in lives:
        now += timedelta(seconds=lived_s)
        dead = event(lived_s=lived_s, restarts=tuple(restarts_of(manifest)))
        row = 0 if lived_s >= LONG else row
        answer = next_move(WatchEnds(dead, manifest), record, rules, now)
        if row >= budget:
            assert isinstance(answer, GiveUpWatch)
            return
        pending = PendingStart(manifest=answer.death.manifest, since=answer.since)
        record = replace(record, pending=pending)
        now += answer.pause
        if worker_dies:
            answer = next_move(TryBegins(is_held=False), record, rules, now)
        else:
            answer = next_move(PauseEnds(answer.death, frozenset("a")), record, rules, now)
            answer = next_move(RemainsEnd(answer.death), record, rules, now)
        row += 1
        assert len(restarts_of(answer.manifest)) == len(dead.restarts) + 1
        record, manifest = replace(record, pending=None), answer.manifest


class Played:
    """A stream and the task that watches it, played move by move; a minute passes at each."""

    def __init__(self, rules):
        self.rules, self.record, self.now = rules, WatchRecord(), NOW
        self.holder, self.born, self.history = "first", NOW, ()
        self.made, self.is_stopped, self.row, self.answer = 0, False, 0, WatchOn()

    def answered(self, situation):
        self.answer = next_move(situation, self.record, self.rules, self.now)
        match self.answer:
            case WatchOn():
                self.record = replace(self.record, pending=None)
            case PauseThenRestart(dead, _, since):
                there = PendingStart(manifest=dead.manifest, since=since)
                self.record = replace(self.record, pending=there)
            case EndRemains():
                self.holder, self.born = "", None
            case StartNow(manifest):
                self.start(manifest)

    def start(self, manifest):
        assert not self.is_stopped, "somebody has asked it to end"
        self.record = replace(self.record, pending=None)
        if self.born:
            return  # the lock of the name: what lives is adopted
        restarts = tuple(restarts_of(manifest))
        assert restarts[: len(self.history)] == self.history
        self.history, self.row = restarts, self.row + 1
        assert self.row <= self.rules.restarts
        self.made += 1
        self.holder, self.born = f"own-{self.made}", self.now
        self.record = replace(self.record, begun=self.now)

    def begin(self):
        self.record = replace(self.record, begun=self.record.begun or self.now)
        self.answered(TryBegins(is_held=bool(self.holder)))

    def stop(self):
        """Somebody asks it to end, and it ends."""
        self.record = replace(self.record, asked_to_end=self.now)
        self.holder, self.born, self.is_stopped = "", None, True

    def replace(self):
        """Another run starts it anew, or the operator does: that one has a history of its own."""
        self.made += 1
        self.holder, self.born, self.is_stopped = f"other-{self.made}", self.now, False
        self.history, self.row = (), 0

    def die(self, lived_s):
        """Its driver dies; one that has no application may leave nothing."""
        if lived_s >= LONG:
            self.row = 0
        is_there = self.born is not None
        self.born = None
        if not self.rules.has_application:
            self.holder = ""
        sign = Sign.DIED if self.holder or is_there else Sign.GONE
        self.answered(
            WatchEnds(event(sign, holder=self.holder, lived_s=lived_s, restarts=self.history))
        )

    def go_on(self):
        match self.answer:
            case PauseThenRestart(dead):
                held = frozenset([self.holder] if self.holder else [])
                self.answered(PauseEnds(dead, held, self.born))
            case EndRemains(dead):
                self.answered(RemainsEnd(dead))


HAPPENINGS = st.one_of(
    st.just(Played.go_on),
    st.just(Played.go_on),
    st.just(Played.begin),
    st.just(Played.stop),
    st.just(Played.replace),
    st.floats(1, 2 * LONG).map(lambda lived_s: lambda played: played.die(lived_s)),
)


@UNHURRIED
@given(st.lists(HAPPENINGS, max_size=40), RULES)
def test_whatever_happens_in_a_night_the_stream_is_started_by_the_rules(happenings, rules):
    """The asserts are in `start`; a try begins anew wherever a worker dies."""
    played = Played(rules)
    played.begin()
    for happening in happenings:
        played.now += timedelta(minutes=1)
        is_watched = isinstance(played.answer, WatchOn | StartNow)
        if isinstance(played.answer, FinishWatch | GiveUpWatch):
            return
        if happening in {Played.go_on, Played.begin, Played.stop, Played.replace} or is_watched:
            happening(played)


@pytest.mark.parametrize("way", SubmitWith)
def test_a_stop_that_was_asked_for_before_its_death_was_noticed_is_not_answered_by_a_start(way):
    """The stream was asked to end three minutes ago; its death is noticed two minutes later."""
    dead = event(born=before(60))
    paused = next_move(WatchEnds(dead, MANIFEST), NOTHING, WatchRules(MANIFEST, way), before(1))
    assert paused.since == before(60)
    kept = PendingStart(manifest=paused.death.manifest, since=paused.since)
    record = WatchRecord(kept, before(70), asked_to_end=before(3))
    situations = PauseEnds(paused.death, frozenset("a")), RemainsEnd(paused.death), TryBegins(False)
    for situation in situations:
        answer = move(situation, record, submit_with=way)
        assert isinstance(answer, WatchOn | GiveUpWatch), situation

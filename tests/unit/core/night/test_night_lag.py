from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fink_k8s.core.night.night_lag import (
    MOST_MOMENTS,
    Intake,
    LagPoint,
    lag_curve,
    longest_gap,
    moments_of,
)

START = datetime(2026, 1, 1, 18, tzinfo=UTC)
END = START + timedelta(hours=10)


def at(seconds):
    return START + timedelta(seconds=seconds)


def arrived_at(*seconds):
    moments = sorted(map(at, seconds))
    return lambda moment: bisect_left(moments, moment)


def intake(*files):
    return Intake.of((at(seconds), rows) for seconds, rows in files)


nights = st.lists(st.tuples(st.floats(0, 36_000), st.floats(0.01, 3_600)), min_size=1, max_size=60)
"""Alerts, each with when it came and for how long it waited."""


def came_and_written(night):
    return arrived_at(*(came for came, _ in night)), intake(*((c + w, 1) for c, w in night))


@given(nights)
def test_where_alerts_come_before_they_are_stored_the_lag_is_what_waits(night):
    arrived, taken = came_and_written(night)
    for point in lag_curve(moments_of(START, END, taken), arrived, taken):
        waiting = sum(at(came) < point.at < at(came + wait) for came, wait in night)
        # An alert that is written in that very moment may count as waiting or not.
        exact = sum(at(came) < point.at <= at(came + wait) for came, wait in night)
        assert waiting <= point.lag <= exact
        assert point.arrived >= point.taken - (exact - waiting)


@given(nights)
def test_the_moments_are_few_in_order_and_span_the_night(night):
    _, taken = came_and_written(night)
    moments = moments_of(START, END, taken)
    assert len(moments) <= MOST_MOMENTS
    assert moments == sorted(moments)
    assert moments[0] <= START
    assert moments[-1] >= max(END, taken.moments[-1])


@given(nights)
def test_what_is_taken_never_grows_less(night):
    arrived, taken = came_and_written(night)
    curve = lag_curve(moments_of(START, END, taken), arrived, taken)
    for earlier, later in pairwise(curve):
        assert earlier.arrived <= later.arrived
        assert earlier.taken <= later.taken
    assert curve[-1].lag == 0
    assert curve[-1].taken == len(night)


@given(nights)
def test_no_gap_is_longer_than_the_longest_wait_or_than_the_files_are_apart(night):
    arrived, taken = came_and_written(night)
    gap = longest_gap(arrived, taken)
    apart = max((till - since for since, till in taken.gaps()), default=timedelta(0))
    assert timedelta(0) <= gap <= apart
    longest_wait = max(wait for _, wait in night)
    assert gap <= timedelta(seconds=longest_wait) + timedelta(milliseconds=1)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40))
def test_under_steady_load_the_longest_gap_is_that_between_two_files(pauses):
    moments = [sum(pauses[:number]) for number in range(len(pauses) + 1)]
    taken = intake(*((moment, 1) for moment in moments))
    assert longest_gap(lambda _: 10_000, taken) == timedelta(seconds=max(pauses))


def test_a_quiet_hour_is_no_gap():
    # One alert at once, the next an hour later: it waited for ten seconds.
    arrived = arrived_at(0, 3_600)
    gap = longest_gap(arrived, intake((10, 1), (3_610, 1)))
    assert timedelta(seconds=9) <= gap <= timedelta(seconds=10)


def test_alerts_that_come_in_a_gap_make_it_count_from_then():
    # Written at 0 and 6400; the first alert that waited came at 1000.
    gap = longest_gap(arrived_at(-1, 1_000, 6_000), intake((0, 1), (6_400, 2)))
    assert timedelta(seconds=5_398) <= gap <= timedelta(seconds=5_400)


def test_a_night_of_nothing_has_no_gap_and_no_lag():
    nothing = intake()
    assert longest_gap(lambda _: 0, nothing) == timedelta(0)
    curve = lag_curve(moments_of(START, END, nothing), lambda _: 0, nothing)
    assert {(point.arrived, point.lag) for point in curve} == {(0, 0)}
    assert (curve[0].at, curve[-1].at) == (START, END)


def test_clocks_that_disagree_make_no_negative_lag():
    assert LagPoint(at=START, arrived=3, taken=5).lag == 0


def test_a_restart_between_two_even_moments_is_seen_as_a_peak():
    # A file each 10 s but for one gap of 60 s, where the moments are 12 minutes apart.
    times = [10 * n for n in range(3_600) if not 1_800 < n < 1_806]
    came = arrived_at(*range(36_000))
    taken = Intake.of((at(t), 10 if t != 18_060 else 60) for t in times)
    curve = lag_curve(moments_of(START, END, taken), came, taken)
    assert max(point.lag for point in curve) == 50


def test_a_night_of_ten_thousand_files_asks_a_bounded_number_of_questions():
    asked = []

    def arrived(moment):
        asked.append(moment)
        return 0  # nothing seems to wait: each gap is halved to its end

    taken = intake(*((3 * n, 1) for n in range(10_000)))
    lag_curve(moments_of(START, END, taken), arrived, taken)
    longest_gap(arrived, taken)
    assert len(asked) <= MOST_MOMENTS + 20 * 13

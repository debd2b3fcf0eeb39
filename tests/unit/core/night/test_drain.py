from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.night.drain import Drain
from fink_k8s.core.night.watch_event import Sign

START = datetime(2026, 1, 1, 19, 0, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def drain(quiet=60, grace=600):
    return Drain(at(0), timedelta(seconds=quiet), timedelta(seconds=grace))


def judged(drain, *looks):
    """Return what comes of the last of (second, lag, end); the others must have had nothing."""
    *before, (second, lag, end) = looks
    for moment, some, there in before:
        assert drain.judge(some, {0: there}, at(moment)) is None
    return drain.judge(lag, {0: end}, at(second))


def test_a_topic_that_stays_read_for_a_while_is_drained():
    seen = judged(drain(), (0, 0, 10), (30, 0, 10), (60, 0, 10))
    assert seen.sign is Sign.DRAINED
    assert "none arrived for 60 s" in seen.reason


@pytest.mark.parametrize(
    "looks",
    [
        [(0, 5, 10), (59, 0, 10), (118, 0, 10)],  # it was read late
        [(0, 0, 10), (50, 3, 13), (60, 0, 13), (109, 0, 13)],  # alerts came late
        [(0, 0, 10), (50, 0, 13), (109, 0, 13)],  # they came and were read between two looks
        [(0, 0, 10), (50, None, 10), (109, 0, 10)],  # nobody knew
    ],
)
def test_a_late_alert_begins_the_quiet_anew(looks):
    assert judged(drain(), *looks) is None


def test_no_quiet_asked_for_ends_at_once_when_all_is_read():
    assert judged(drain(quiet=0), (0, 4, 10), (1, 0, 10)).sign is Sign.DRAINED


@pytest.mark.parametrize(("lag", "words"), [(7, "lag is 7 alerts"), (None, "lag is unknown")])
def test_the_time_of_grace_ends_it_in_any_case_and_says_what_is_left(lag, words):
    seen = judged(drain(), (0, lag, 10), (599, lag, 10), (600, lag, 10))
    assert seen.sign is Sign.TIME_IS_UP
    assert words in seen.reason


def test_drained_at_the_last_moment_is_drained():
    assert judged(drain(), (540, 0, 10), (600, 0, 10)).sign is Sign.DRAINED


def test_a_stream_that_comes_nearer_to_the_end_is_let_work():
    looks = [(second, 10_000 - second, 10_000) for second in range(0, 5000, 500)]
    assert judged(drain(), *looks) is None
    stuck = [*looks, (5099, 5500, 10_000), (5100, 5500, 10_000)]
    assert judged(drain(), *stuck).sign is Sign.TIME_IS_UP


def test_the_time_of_grace_ends_also_where_nobody_can_look():
    waiting = drain()
    assert waiting.out_of_grace(at(599)) is None
    assert waiting.out_of_grace(at(600)).sign is Sign.TIME_IS_UP


def test_alerts_that_come_all_the_time_are_ended_by_the_time_of_grace():
    looks = [(second, 0, second) for second in range(0, 601, 10)]
    assert judged(drain(), *looks).sign is Sign.TIME_IS_UP


def test_a_late_burst_is_let_be_worked_off():
    burst = [(second, 50_000 - 10 * second, 50_000) for second in range(550, 4900, 50)]
    looks = [(0, 0, 10), (540, 0, 10 + 50_000), *burst]
    assert judged(drain(quiet=9999), *looks) is None
    stuck = [*looks, (5449, 2000, 50_000), (5450, 2000, 50_000)]
    assert judged(drain(quiet=9999), *stuck).sign is Sign.TIME_IS_UP


def test_bursts_without_end_are_ended_when_one_of_them_is_read():
    looks = [(second, second % 100 and 100 - second % 100, second) for second in range(0, 600, 10)]
    assert judged(drain(), *looks) is None
    assert judged(drain(), *looks, (600, 0, 600)).sign is Sign.TIME_IS_UP

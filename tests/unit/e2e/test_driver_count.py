"""The count of drivers that the tests of a night rest on: it fails where it could not look."""

import subprocess
import threading
import time

import pytest

from tests.e2e.night import DriverCount

STREAM = "stream2raw-ztf-20260101"


def pod(uid, phase="Running"):
    return {"metadata": {"uid": uid}, "status": {"phase": phase}}


class Looks:
    """What a look finds, one after the other, the last one again and again; an error is raised."""

    def __init__(self, *found):
        self.found = list(found)
        self.seen = threading.Event()

    def __call__(self, stream):
        assert stream == STREAM
        is_last = len(self.found) == 1
        found = self.found[0] if is_last else self.found.pop(0)
        if is_last:
            self.seen.set()
        if isinstance(found, BaseException):
            raise found
        return found


def counted(*found):
    looks = Looks(*found)
    with DriverCount(STREAM, looks, seconds=0.001) as count:
        assert looks.seen.wait(10)
    return count


@pytest.mark.parametrize(
    ("found", "most", "uids"),
    [
        ([[]], 0, []),
        ([[], [pod("a")], [], [pod("b")], []], 1, ["a", "b"]),
        ([[pod("a")], [pod("a"), pod("b")], [pod("b")]], 2, ["a", "b"]),
        ([[pod("a", "Succeeded"), pod("b", "Failed"), pod("c")], []], 1, ["c"]),
        ([[pod("a", "Pending"), pod("b", "Unknown")], []], 2, ["a", "b"]),
    ],
)
def test_it_keeps_the_most_at_once_and_all_there_ever_were(found, most, uids):
    count = counted(*found)
    assert (count.most, count.uids) == (most, uids)
    assert count.looks >= len(found)


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("kubectl: the server is away"),
        subprocess.TimeoutExpired("kubectl", 120),
        KeyError("metadata"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_look_that_fails_fails_the_test(error):
    with pytest.raises(type(error)) as raised:
        counted([pod("a")], error)
    assert raised.value is error


def test_even_the_shortest_block_is_counted():
    with DriverCount(STREAM, lambda _: [pod("a")]) as count:
        pass
    assert (count.looks, count.most) == (1, 1)


def test_the_tests_own_failure_is_not_hidden_by_one_of_the_count():
    looks = Looks(OSError("away"))

    def fail():
        with DriverCount(STREAM, looks, seconds=0.001):
            assert looks.seen.wait(10)
            raise ValueError("the test's own")

    with pytest.raises(ValueError, match="the test's own"):
        fail()


def test_while_it_is_held_nothing_is_looked_at():
    away = threading.Event()
    looks = Looks([pod("a")])

    def look(stream):
        if away.is_set():
            raise OSError("away")
        return looks(stream)

    with DriverCount(STREAM, look, seconds=0.001) as count:
        assert looks.seen.wait(10)
        with count.held():
            away.set()
            time.sleep(0.05)
            away.clear()
        looks.seen.clear()
        assert looks.seen.wait(10)

import pytest

from fink_k8s.core.night.driver_history import DriverHistory
from fink_k8s.core.night.watch_event import Sign, WatchEnd, WatchEvent

END = WatchEnd(sign=Sign.DIED, reason="why", lived_s=5, holder="a")


def driver(**annotations):
    metadata = {"creationTimestamp": "2026-01-01T20:00:00Z", "annotations": annotations}
    return DriverHistory(last={"metadata": metadata})


def test_an_event_comes_back_from_the_database_as_it_went():
    event = WatchEvent.of(END, driver(**{"fink.spec": '{"image":"i"}'}), (), 3)
    assert WatchEvent.model_validate(event.model_dump(mode="json")) == event
    assert (event.spec, event.lag, event.born.hour) == ({"image": "i"}, 3, 20)


def test_an_event_of_an_older_version_is_read_as_far_as_it_goes():
    old = {"sign": "died", "reason": "why", "lived_s": 5, "holder": "", "born": "",
           "spec": '{"image":"i"}'}  # fmt: skip
    event = WatchEvent.model_validate(old)
    assert (event.born, event.spec, event.restarts, event.lag) == (None, {"image": "i"}, (), None)
    assert WatchEvent.model_validate({"sign": "gone"}).reason == ""


def test_an_event_of_a_newer_version_is_read_without_what_is_not_known():
    event = WatchEvent.model_validate({"sign": "died", "seen_by": "another", "restarts": []})
    assert "seen_by" not in event.model_dump()


@pytest.mark.parametrize("words", ["", "{", "[1]", "no JSON", '"text"'])
def test_what_a_driver_bears_is_a_spec_or_nothing(words):
    assert WatchEvent.of(END, driver(**{"fink.spec": words}), (), None).spec == {}


def test_of_no_driver_nothing_is_known():
    event = WatchEvent.of(END, DriverHistory(), (), None)
    assert (event.born, event.spec) == (None, {})


@pytest.mark.parametrize(
    ("sign", "holder", "leaves_nothing"),
    [
        (Sign.DIED, "", True),
        (Sign.GONE, "", True),
        (Sign.DIED, "a", False),
        (Sign.TIME_IS_UP, "", False),
        (Sign.UNWATCHABLE, "", False),
    ],
)
def test_a_stream_of_which_nothing_is_left_leaves_open_how_it_ended(sign, holder, leaves_nothing):
    assert WatchEvent(sign=sign, holder=holder).leaves_nothing is leaves_nothing

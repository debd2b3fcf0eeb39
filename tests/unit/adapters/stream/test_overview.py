import threading
import time

import pytest

from fink_k8s.adapters.stream.overview import ask_each, observe_all
from fink_k8s.core.base.errors import NotPermitted, Unavailable
from fink_k8s.core.base.names import labels_of
from tests.fakes import FakeCluster, driver_pod

ZTF, LSST, PLAIN = (f"stream2raw-{night}" for night in ("ztf-20250101", "lsst-20250102",
                                                        "ztf-20250103"))  # fmt: skip


def application(name, state):
    return {
        "kind": "SparkApplication",
        "metadata": {"name": name, "namespace": "spark", "labels": labels_of("ztf", "20250101")},
        "status": {"applicationState": {"state": state}},
    }


def test_every_stream_is_seen_whichever_way_it_came():
    pods = [driver_pod(ZTF, "Running"), driver_pod(PLAIN, "Failed", by_operator=False)]
    pods.append(driver_pod("stream2raw-ztf-20250104", "Running", namespace="elsewhere"))
    cluster = FakeCluster(
        application(ZTF, "RUNNING"), application(LSST, "FAILED"), application("others", "RUNNING"),
        pods=pods,
    )  # fmt: skip
    seen = observe_all(cluster, "spark")
    assert {name: (one.state, one.driver_phase) for name, one in seen.items()} == {
        LSST: ("FAILED", "missing"),
        ZTF: ("RUNNING", "Running"),
        PLAIN: ("FAILED", "Failed"),
    }
    assert list(seen) == sorted(seen)


def test_a_right_that_is_missing_is_told(monkeypatch):
    def refuse(*words):
        raise NotPermitted("pods is forbidden")

    cluster = FakeCluster()
    monkeypatch.setattr(cluster, "pods", refuse)
    with pytest.raises(NotPermitted):
        observe_all(cluster, "spark")


def test_who_does_not_answer_holds_nobody_up():
    stop = threading.Event()

    def ask(name):
        if name == "silent":
            stop.wait(30)
        if name == "broken":
            raise KeyError("odd")
        return name.upper()

    begun = time.monotonic()
    answers = ask_each(["a", "silent", "broken", "b"], ask, seconds=0.3)
    assert time.monotonic() - begun < 5
    stop.set()
    assert (answers["a"], answers["b"]) == ("A", "B")
    assert isinstance(answers["broken"], KeyError)
    assert isinstance(answers["silent"], Unavailable)
    assert "no answer within" in str(answers["silent"])
    assert list(answers) == ["a", "silent", "broken", "b"]


def test_no_more_are_asked_at_once_than_said():
    running, most, lock = 0, 0, threading.Lock()

    def ask(name):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return name

    answers = ask_each([str(n) for n in range(12)], ask, seconds=20, at_once=3)
    assert list(answers.values()) == [str(n) for n in range(12)]
    assert most == 3


def test_nobody_to_ask_is_no_error():
    assert ask_each([], str, seconds=1) == {}

"""`fink_health` on a real stream: well, suspended, resumed, deleted; each is told once."""

import json
import time

import pytest

from tests.e2e.conftest import TOKEN
from tests.e2e.driving import DEPLOY, application, kubectl, unused_night

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
]

HEALTH, STOP, LOOK = "fink_health", "fink_stop", "report_health"
NIGHT = unused_night(8)
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"health_{time.time():.0f}"


@pytest.fixture(scope="module")
def running(fink):
    """A stream that has stored alerts; it is gone at the end, whatever became of the test."""
    fink.produce(TOPIC, 200)
    run = fink.run(DEPLOY, night=NIGHT, topic=TOPIC, trigger_interval_s=3, skip=["preflight"])
    assert run.state == "success"
    yield run
    kubectl("delete", "sparkapplication", STREAM, "--ignore-not-found", "--wait=true")


def look(fink):
    """Look once; return the run, and what it says of the stream."""
    run = fink.run(HEALTH)
    assert run.state == "success"
    lines = {line["stream"]: line for line in run.xcom(LOOK)}
    return run, lines.get(STREAM)


def told(inbox):
    """Return the lines about the stream that were told so far, and forget them."""
    lines = [line for body in inbox.bodies() for line in body.splitlines()]
    inbox.messages.clear()
    return [line for line in lines if STREAM in line and not line.startswith("bundle:")]


def suspend(is_suspended):
    patch = json.dumps({"spec": {"suspend": is_suspended}})
    kubectl("patch", "sparkapplication", STREAM, "--type=merge", "-p", patch)


def wait_for_state(state, seconds=120):
    deadline = time.monotonic() + seconds
    while (seen := application(STREAM)["status"]["applicationState"]["state"]) != state:
        assert time.monotonic() < deadline, f"{STREAM} is {seen}, not {state}"
        time.sleep(1)


def test_a_stream_that_is_well_is_one_line_and_no_message(fink, running, inbox):
    told(inbox)
    for _ in range(2):
        run, line = look(fink)
        assert line["level"] == "well", line["text"]
        assert (line["figures"]["state"], line["figures"]["lag"]) == ("RUNNING", 0)
        assert line["figures"]["batch"] >= 0
        assert line["text"] in run.log(LOOK)
        assert run.seconds < 60
    assert told(inbox) == []


@pytest.mark.shows("docs/from-the-command-line.md#nights")
def test_one_that_turns_bad_is_told_once_and_once_that_it_is_well_again(fink, running, inbox):
    told(inbox)
    suspend(True)
    wait_for_state("SUSPENDED")
    run, line = look(fink)
    assert line["level"] == "dead"
    assert any(f"{STREAM}/" in body and "bundle: s3a://" in body for body in inbox.bodies())
    [sentence] = told(inbox)
    assert sentence.startswith(f"worse: {STREAM}: dead; SUSPENDED")
    assert "set its spec.suspend to false" in sentence
    assert TOKEN not in run.log(LOOK)

    _, line = look(fink)
    assert line["level"] == "dead"
    assert told(inbox) == []

    suspend(False)
    wait_for_state("RUNNING")
    levels = []
    while levels[-2:] != ["well", "well"]:
        assert len(levels) < 30, levels
        levels.append(look(fink)[1]["level"])
    [sentence] = told(inbox)
    assert sentence.startswith(f"better: {STREAM}: well")


def test_one_that_was_deleted_past_fink_stop_has_vanished(fink, running, inbox):
    told(inbox)
    kubectl("delete", "sparkapplication", STREAM, "--wait=true")
    kubectl("wait", "--for=delete", f"pod/{STREAM}-driver", "--timeout=60s")
    _, line = look(fink)
    assert line is None
    [sentence] = told(inbox)
    assert sentence.startswith(f"worse: {STREAM}: dead; the application and the driver are gone")
    look(fink)
    assert told(inbox) == []
    # Once fink_stop was asked for it, the matter is closed.
    assert fink.run(STOP, streams=[STREAM]).state == "success"
    look(fink)
    assert told(inbox) == [f"gone: {STREAM}: stopped as requested"]


def test_one_that_fink_stop_ended_is_no_alarm(fink, running, inbox):
    run = fink.run(DEPLOY, night=NIGHT, topic=TOPIC, skip=["preflight", "image"])
    assert run.state == "success", run.states()
    assert look(fink)[1]["level"] == "well"
    told(inbox)
    assert fink.run(STOP, streams=[STREAM]).state == "success"
    for _ in range(2):
        assert look(fink)[1] is None
    assert told(inbox) == []


def test_a_test_message_reaches_the_targets(fink, running, inbox):
    inbox.messages.clear()
    assert fink.run(HEALTH, send_test=True).state == "success"
    assert [m["title"] for m in inbox.messages if "test" in m["title"]] == [
        "Fink: test message from fink_health"
    ]

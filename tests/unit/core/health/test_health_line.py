"""One look at one stream, in one line: from evidence of real faults, and from looks cut short."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.levels import HealthLevel
from fink_k8s.core.diagnosis.positions import Position, Topic
from fink_k8s.core.health.health_line import figures_of, stream_line
from tests.recording import recorded

STREAM = "stream2raw-ztf-20260101"
NOW = datetime(2026, 1, 1, 22, tzinfo=UTC)
GAUGE = "app.driver.spark.streaming.query.inputRate-total"
LIVE = {"gauges": {GAUGE: {"value": 31.26}}}
POSITION = Position(
    41, 41, NOW - timedelta(seconds=8), {0: 900}, 41, 900, 0, NOW - timedelta(seconds=308), 300
)
TOPIC = Topic("alerts", {0: 0}, {0: 920}, {0: 900})


def well(**changes):
    running = {"running": {"startedAt": "2026-01-01T20:00:00Z"}}
    driver = {
        "metadata": {"name": f"{STREAM}-driver", "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{"image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [{"state": running}]},
    }
    seen = {"metrics": LIVE, "seen_at": NOW, "position": POSITION, "topic": TOPIC}
    application = {"status": {"applicationState": {"state": "RUNNING"}}}
    return Evidence(application, [driver], **{**seen, **changes})


def state(name):
    return {"status": {"applicationState": {"state": name}}}


def test_a_stream_that_is_well_has_state_driver_progress_rate_and_lag():
    line = stream_line(STREAM, well())
    assert line.level is HealthLevel.WELL
    assert line.text == (
        f"{STREAM}: well; RUNNING, driver Running, batch 41 ended 8 s ago, 1.9 alerts/s, lag 20"
    )
    assert line.figures == {
        "state": "RUNNING", "driver": "Running", "batch": 41, "progress_s": 8, "rate": 1.9,
        "lag": 20,
    }  # fmt: skip


def test_the_rate_is_that_of_the_commits_and_else_the_drivers_own():
    quiet = replace(POSITION, committed_at=NOW - timedelta(hours=1), earlier_at=None)
    assert figures_of(well(position=quiet))["rate"] == 0
    assert figures_of(well(position=None))["rate"] == 31.3
    assert figures_of(well(position=Position()))["rate"] == 31.3
    nan = {"gauges": {GAUGE: {"value": float("nan")}}}
    assert figures_of(well(position=None, metrics=nan))["rate"] is None


def test_what_is_not_known_is_not_made_up():
    line = stream_line(STREAM, well(position=None, topic=None, metrics={"gauges": {
        "a.spark.streaming.q.latency": {"value": 1}}}))  # fmt: skip
    assert line.text == f"{STREAM}: well; RUNNING, driver Running, lag unknown"


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("stalled", HealthLevel.STALLED),
        ("late", HealthLevel.LATE),
        ("query-dead", HealthLevel.DEAD),
        ("crash-loop", HealthLevel.TROUBLED),
        ("driver-failed", HealthLevel.TROUBLED),
        ("kafka-unreachable", HealthLevel.TROUBLED),
        ("image-pull", HealthLevel.TROUBLED),
        ("topic-missing", HealthLevel.TROUBLED),
        ("corrupt-alerts", HealthLevel.TROUBLED),
        ("operator-away", HealthLevel.TROUBLED),
    ],
)
def test_a_fault_has_its_level_and_names_its_cause(name, level):
    line = stream_line(STREAM, recorded(name))
    assert (line.level, line.category) == (level, name)
    assert line.text.startswith(f"{STREAM}: {level}; ")
    assert f"[{name}]" in line.text
    assert "\n" not in line.text


@pytest.mark.parametrize(
    ("evidence", "level"),
    [
        (Evidence(state("FAILED"), seen_at=NOW), HealthLevel.DEAD),
        (Evidence(state("SUSPENDED"), seen_at=NOW), HealthLevel.DEAD),
        (Evidence(state("COMPLETED"), seen_at=NOW), HealthLevel.ENDED),
        (Evidence(state("SUBMITTED"), seen_at=NOW), HealthLevel.STARTING),
        (well(metrics=None, seen_at=datetime(2026, 1, 1, 20, 1, tzinfo=UTC)), HealthLevel.STARTING),
        (Evidence(state("DANCING"), seen_at=NOW), HealthLevel.UNKNOWN),
        (Evidence(None, seen_at=NOW), HealthLevel.UNKNOWN),
    ],
)
def test_each_state_has_its_level(evidence, level):
    assert stream_line(STREAM, evidence).level is level


LATE = {"the full look": "no answer within 30 s"}


@pytest.mark.parametrize(
    ("evidence", "level"),
    [
        # A glance knows no metrics: that the query is not seen says nothing.
        (replace(well(), seen_at=None, metrics=None, unanswered=LATE), HealthLevel.UNKNOWN),
        (Evidence(state("SUBMITTED"), unanswered=LATE), HealthLevel.UNKNOWN),
        (Evidence(state("FAILED"), unanswered=LATE), HealthLevel.DEAD),
        (Evidence(state("COMPLETED"), unanswered=LATE), HealthLevel.ENDED),
        (Evidence(None, seen_at=NOW, unanswered={"application": "away"}), HealthLevel.UNKNOWN),
        (replace(well(), pods=[], unanswered={"pods (out of sight)": "no"}), HealthLevel.UNKNOWN),
        # What is measured besides may be missing: the stream is well all the same.
        (well(position=None, unanswered={"store (out of sight)": "no mount"}), HealthLevel.WELL),
    ],
)
def test_who_does_not_answer_is_named_and_nothing_is_concluded_from_it(evidence, level):
    line = stream_line(STREAM, evidence)
    assert line.level is level
    for source in evidence.unanswered:
        assert source in line.text

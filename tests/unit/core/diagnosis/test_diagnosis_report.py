import json
from dataclasses import replace

import pytest

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.diagnosis_report import (
    bundle_of,
    diagnosis_report_of,
    facts_of,
    line_of,
    timeline,
)
from fink_k8s.core.diagnosis.evidence import Evidence
from tests.recording import recorded

STREAM = "stream2raw-ztf-20260110"


@pytest.mark.parametrize("category", Category)
def test_a_report_holds_the_cause_the_remedy_and_what_was_seen(category):
    evidence = recorded(category)
    found = diagnose(evidence)
    report = diagnosis_report_of(STREAM, evidence, found)
    assert line_of(STREAM, evidence, found) in report
    assert f"docs/troubleshooting.md#{category})" in report
    for what in facts_of(evidence):
        assert f"| {what} | " in report


def test_a_bundle_holds_all_that_was_seen():
    evidence = replace(recorded("image-pull"), logs={f"{STREAM}-driver": "words"})
    files = bundle_of(STREAM, evidence, diagnose(evidence))
    assert set(files) == {
        "report.md", "facts.json", "application.json", "pods.json", "events.json", "metrics.json",
        f"logs/{STREAM}-driver.log",
    }  # fmt: skip
    assert json.loads(files["facts.json"])["diagnosis"]["category"] == "image-pull"
    assert json.loads(files["pods.json"]) == list(evidence.pods)


def test_what_was_not_looked_at_is_said_before_that_nothing_is_wrong():
    there = Evidence({"metadata": {}})
    assert line_of(STREAM, there, None) == f"{STREAM}: no problem found"
    assert line_of(STREAM, Evidence(None), None) == f"{STREAM}: the stream does not exist"
    blind = replace(there, unanswered={"events": "forbidden", "kafka": "away"})
    assert "these sources could not be read (events, kafka)" in line_of(STREAM, blind, None)
    assert "- NOT read: events: forbidden" in diagnosis_report_of(STREAM, blind, None)


def test_a_run_that_failed_is_never_told_to_be_well():
    failed = Evidence({"metadata": {}}, failures={"rbac": "no right", "image": ""})
    assert line_of(STREAM, failed, None) == f"{STREAM}: rbac failed: no right"
    unknown = replace(failed, failures={"image": ""})
    assert line_of(STREAM, unknown, None) == f"{STREAM}: image failed; see its log"
    assert "- image failed: see its log" in diagnosis_report_of(STREAM, failed, None)


def test_events_are_told_in_their_order():
    def event(moment, reason, **more):
        about = {"kind": "Pod", "name": "driver"}
        base = {"type": "Warning", "reason": reason, "message": "a\nb", "involvedObject": about}
        return {**base, "lastTimestamp": moment, "metadata": {}, **more}

    events = [
        event("2026-01-01T20:00:09Z", "Late", count=3),
        event(None, "Early", eventTime="2026-01-01T20:00:01.5Z"),
        event(None, "Oldest", metadata={"creationTimestamp": "2026-01-01T20:00:00Z"}),
    ]
    assert list(timeline(Evidence(None, events=events))) == [
        "2026-01-01T20:00:00 Warning Oldest Pod/driver: a b",
        "2026-01-01T20:00:01 Warning Early Pod/driver: a b",
        "2026-01-01T20:00:09 Warning Late Pod/driver: a b (3 times)",
    ]

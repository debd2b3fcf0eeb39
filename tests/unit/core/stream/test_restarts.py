import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.manifests import hash_of, make_spark_application
from fink_k8s.core.stream.restarts import (
    FIRST_PAUSE,
    HEALTHY_SPAN,
    LONGEST_PAUSE,
    Restart,
    RestartedBy,
    annotation_of,
    crash_loop,
    in_a_row,
    is_told,
    pause_before,
    restarts_of,
    started_again,
)
from fink_k8s.core.stream.stream_request import StreamRequest

NOW = datetime(2026, 1, 1, 21, 0, tzinfo=UTC)
LONG = HEALTHY_SPAN.total_seconds()
MANIFEST = make_spark_application(
    StreamRequest(night="20250101", topic="t"),
    Settings(kafka_servers="k:9092", store_prefix="s3a://fink"),
    "image@sha256:0",
    "3.5.7",
)


def by_fink(lived_s=0.0):
    return Restart(at=NOW, cause="it died", by=RestartedBy.FINK, lived_s=lived_s)


def by_operator(application="uid", lived_s=0.0):
    return Restart(
        at=NOW, cause="", by=RestartedBy.OPERATOR, lived_s=lived_s, application=application
    )


def test_a_manifest_tells_of_its_restarts_and_stays_the_same_stream():
    history = [by_fink(), by_operator().model_copy(update={"back_after_s": 12.5})]
    told = started_again(MANIFEST, history)
    assert restarts_of(told) == history
    assert hash_of(told) == hash_of(MANIFEST)
    assert told["spec"] == MANIFEST["spec"]
    assert restarts_of(MANIFEST) == []


def test_what_the_cluster_has_added_stays_behind():
    metadata = {
        **MANIFEST["metadata"],
        "uid": "u",
        "resourceVersion": "7",
        "annotations": {**MANIFEST["metadata"]["annotations"], "kubectl.kubernetes.io/x": "y"},
    }
    there = {**MANIFEST, "metadata": metadata, "status": {"executionAttempts": 3}}
    again = started_again(there, [])
    assert "status" not in again
    assert again["metadata"].keys() == {"name", "namespace", "labels", "annotations"}
    assert set(again["metadata"]["annotations"]) == {"fink.spec-hash", "fink.restarts"}
    assert hash_of(again) == hash_of(MANIFEST)


@pytest.mark.parametrize("thing", [None, {}, {"metadata": {}}, {"metadata": {"annotations": None}}])
def test_what_tells_of_none_had_none(thing):
    assert restarts_of(thing) == []


@pytest.mark.parametrize("text", ["", "{", "null", '[{"at": "yesterday"}]', '[{"by": "fink"}]'])
def test_words_of_somebody_else_are_no_history(text):
    assert restarts_of({"metadata": {"annotations": {"fink.restarts": text}}}) == []


def test_an_annotation_stays_small():
    many = [by_fink().model_copy(update={"cause": "x" * 10_000})] * 1000
    assert len(annotation_of(many)["fink.restarts"]) < 200 * 1024


def test_an_annotation_keeps_the_latest():
    many = [by_operator(application=str(number)) for number in range(300)]
    kept = json.loads(annotation_of(many)["fink.restarts"])
    assert kept[-1]["application"] == "299"


def test_the_operator_s_restarts_are_told_when_each_attempt_is():
    history = [by_operator("a"), by_fink(), by_operator("b")]
    assert is_told(history, "a", starts=2)
    assert not is_told(history, "a", starts=3)
    assert is_told(history, "c", starts=1)
    assert is_told([], "", starts=0)


def test_pauses_grow_and_end():
    history, pauses = [], []
    while pause := pause_before(history, timedelta(seconds=5), budget=8):
        pauses.append(pause)
        history.append(by_fink(lived_s=5))
    assert len(pauses) == 8
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_a_stream_that_ran_well_for_a_while_has_its_whole_budget_again():
    history = [by_fink(5)] * 3
    assert pause_before(history, timedelta(seconds=5), budget=3) is None
    assert pause_before(history, HEALTHY_SPAN, budget=3) == FIRST_PAUSE
    # The one after a long life is the first of its row.
    history.append(by_fink(LONG))
    assert in_a_row(history) == 1
    assert pause_before(history, timedelta(seconds=5), budget=3) == 2 * FIRST_PAUSE


def test_what_the_operator_starts_is_not_of_our_budget():
    history = [by_operator()] * 50
    assert in_a_row(history) == 0
    assert pause_before(history, timedelta(0), budget=1) == FIRST_PAUSE


def test_no_budget_means_no_restart_even_after_a_long_life():
    assert pause_before([], timedelta(hours=9), budget=0) is None


@given(st.lists(st.sampled_from([0.0, LONG])), st.integers(0, 20), st.sampled_from([0.0, LONG]))
def test_a_crash_loop_always_ends(lives, budget, lived):
    history = [by_fink(lived_s) for lived_s in lives]
    for _ in range(budget + 1):
        if pause_before(history, timedelta(seconds=lived), budget) is None:
            return
        history.append(by_fink(lived))
        lived = 0.0
    assert pause_before(history, timedelta(0), budget) is None


def test_a_crash_loop_is_told_with_its_last_cause():
    history = [by_operator(), *[by_fink()] * 3]
    line = crash_loop(history, "[kafka-unreachable] Kafka cannot be reached: x. Fix it")
    assert "3 times in a row by the night DAG, 1 times in total by the operator" in line
    assert "[kafka-unreachable]" in line

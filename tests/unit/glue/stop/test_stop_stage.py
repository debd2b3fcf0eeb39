"""What `fink_stop` says at the end: a line for each stream that was meant, why of what is left."""

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.glue.stop import stop_stage as stop
from fink_k8s.glue.stop.stop_stage import diagnose_left, report

CHOSEN = [{"stream": "a", "manner": {}}, {"stream": "b", "manner": {}}]


def test_each_stream_has_its_line_and_one_that_did_not_end_is_named(capsys):
    outcomes = [{"stream": "b", "line": "b: was RUNNING, ended gracefully"}]
    lines = report.function(CHOSEN, outcomes)
    assert lines == ["a: NOT ended; see its task's log", outcomes[0]["line"]]
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("outcomes", [None, []])
def test_nothing_that_was_to_be_stopped_is_said_so(capsys, outcomes):
    assert report.function([], outcomes) == []
    assert capsys.readouterr().out == "there was nothing to stop\n"


def test_where_nobody_knows_what_was_meant_nothing_is_said():
    with pytest.raises(AirflowSkipException, match="see the log of find_streams"):
        report.function(None, None)


def test_what_did_not_end_is_diagnosed_and_nothing_else(monkeypatch):
    monkeypatch.setattr(stop, "diagnose_stream", lambda stream, patience: {"stream": stream})
    assert diagnose_left.function(CHOSEN, [{"stream": "b", "line": ""}]) == [{"stream": "a"}]


@pytest.mark.parametrize(
    ("chosen", "outcomes", "why"),
    [
        (CHOSEN, [{"stream": name, "line": ""} for name in "ab"], "all streams have ended"),
        ([], None, "all streams have ended"),
        (None, None, "see the log of find_streams"),
    ],
)
def test_where_nothing_is_left_there_is_nothing_to_diagnose(chosen, outcomes, why):
    with pytest.raises(AirflowSkipException, match=why):
        diagnose_left.function(chosen, outcomes)

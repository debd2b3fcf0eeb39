import json
import logging
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from fink_k8s.adapters.base.notify import Message, Tone
from fink_k8s.glue.base import notifiers
from fink_k8s.glue.base.connections import notify_targets
from fink_k8s.glue.base.notifiers import FinkNotifier, notify

CANARY = "c4n4ry0fa70k3n"
MESSAGE = Message("Fink: 1 worse", "worse: stream", Tone.FAILURE)


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, logger=notifiers.__name__)
    return caplog


def connect(monkeypatch, *targets):
    connection = {"conn_type": "generic", "password": "\n".join(targets)}
    monkeypatch.setenv("AIRFLOW_CONN_FINK_NOTIFY", json.dumps(connection))


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_FINK_NOTIFY", raising=False)


def test_without_a_connection_the_log_is_all(log):
    assert notify(MESSAGE) is True
    assert "worse: stream" in log.text
    assert "create the connection fink_notify" in log.text


@pytest.mark.parametrize(
    "text", ["json://a json://b", "json://a\njson://b\n", " json://a\r\njson://b"]
)
def test_targets_stand_apart_by_spaces_or_lines(monkeypatch, text):
    connect(monkeypatch, text)
    assert notify_targets() == ["json://a", "json://b"]


def test_a_connection_without_password_names_nobody(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FINK_NOTIFY", json.dumps({"conn_type": "generic"}))
    assert notify_targets() == []


def test_what_one_target_took_has_been_told(inbox, monkeypatch, log):
    connect(monkeypatch, inbox.target(), f"json://127.0.0.1:1/{CANARY}")
    assert notify(MESSAGE) is True
    assert inbox.bodies() == ["worse: stream"]
    assert "not delivered: target 2 (json)" in log.text
    assert "delivered to 1 of 2 targets" in log.text
    assert CANARY not in log.text


def test_what_nobody_took_is_an_error_line_and_no_failure(inbox, monkeypatch, log):
    inbox.answer = 500
    connect(monkeypatch, inbox.target(CANARY), f"nonsense://{CANARY}")
    assert notify(MESSAGE) is False
    errors = [one.getMessage() for one in log.records if one.levelno == logging.ERROR]
    assert len([line for line in errors if "not delivered" in line]) == 2
    assert CANARY not in log.text


def test_an_error_of_the_library_is_told_without_its_words(monkeypatch, log):
    def broken(*words):
        raise RuntimeError(f"https://bot{CANARY}/")

    connect(monkeypatch, "json://a")
    monkeypatch.setattr(notifiers, "send", broken)
    assert notify(MESSAGE) is False
    assert "the message is not delivered: RuntimeError" in log.text
    assert CANARY not in log.text


def test_a_callback_names_what_failed(inbox, monkeypatch):
    connect(monkeypatch, inbox.target())
    context = {
        "dag": DAG("fink_deploy", schedule=None),
        "run_id": "manual__1",
        "ti": SimpleNamespace(task_id="wait_until_healthy"),
    }
    FinkNotifier()(context)
    [message] = inbox.messages
    assert message["title"] == "Fink: fink_deploy"
    assert message["message"] == "fink_deploy, manual__1: wait_until_healthy failed"
    assert message["type"] == "failure"


def test_a_callback_that_reaches_nobody_fails_nothing(monkeypatch, log):
    connect(monkeypatch, f"nonsense://{CANARY}")
    context = {"dag": DAG("d", schedule=None), "run_id": "r"}
    FinkNotifier("{{ run_id }} is over", Tone.INFO)(context)
    assert "r is over" in log.text
    assert CANARY not in log.text

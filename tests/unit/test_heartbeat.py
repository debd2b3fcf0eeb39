"""The heartbeat that Compose asks for."""

import io
import json
import sys

import pytest

from fink_k8s import heartbeat

HEALTH = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:00Z"},
    "triggerer": {"status": "unhealthy"},
    "dag_processor": {"status": None},
}


@pytest.fixture
def ask(monkeypatch):
    asked = []

    def urlopen(address, timeout):
        asked.append(address)
        return io.BytesIO(json.dumps(HEALTH).encode())

    monkeypatch.setattr(heartbeat.urllib.request, "urlopen", urlopen)

    def main(component):
        monkeypatch.setattr(sys, "argv", ["heartbeat", component])
        return heartbeat.main(), asked

    return main


@pytest.mark.parametrize(
    ("component", "code"),
    [("metadatabase", 0), ("scheduler", 0), ("triggerer", 1), ("dag_processor", 1)],
)
def test_the_exit_code_says_whether_a_component_lives(ask, component, code):
    assert ask(component)[0] == code


def test_the_api_server_is_found_where_the_components_find_it(ask, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://api:8080/execution/")
    assert ask("scheduler")[1] == ["http://api:8080/api/v2/monitor/health"]


def test_an_api_server_that_is_away_is_said(ask, monkeypatch, capsys):
    def refuse(*_, **__):
        raise OSError("refused")

    monkeypatch.setattr(heartbeat.urllib.request, "urlopen", refuse)
    assert ask("scheduler")[0] == 1
    assert "does not answer: refused" in capsys.readouterr().out

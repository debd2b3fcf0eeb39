from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowFailException

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.stream.stream_request import DeployRequest
from fink_k8s.glue.base import steps
from fink_k8s.glue.base.form import form_of
from fink_k8s.glue.config import run_request
from tests.surveys import write_surveys

SCHEDULED = "scheduled__night-20260102__2026-01-01T23:01:00+00:00"
MANUAL = "manual__2026-01-01T23:30:00+00:00"


@pytest.fixture
def run_of(monkeypatch):
    """Return a function that makes the run that the task finds itself in."""

    def make(run_after, run_id=MANUAL, **params):
        form = form_of(DeployRequest)
        context = {
            "params": {name: param.value for name, param in form.items()} | params,
            "dag": SimpleNamespace(params=form),
            "dag_run": SimpleNamespace(
                run_id=run_id, run_after=datetime.fromisoformat(run_after).replace(tzinfo=UTC)
            ),
        }
        for module in (steps, run_request):
            monkeypatch.setattr(module, "get_current_context", lambda: context)

    return make


@pytest.mark.parametrize(
    ("run_after", "survey", "night"),
    [
        ("2026-01-01T22:59", "ztf", "20260101"),
        # Midnight in Paris is an hour before that of UTC, and two in summer.
        ("2026-01-01T23:01", "ztf", "20260102"),
        ("2026-07-01T22:00", "ztf", "20260701"),
        ("2026-07-01T22:01", "ztf", "20260702"),
        ("2026-01-01T14:59", "lsst", "20251231"),
        ("2026-01-01T15:00", "lsst", "20260101"),
        # The same night still, on the next date everywhere.
        ("2026-01-02T09:00", "lsst", "20260101"),
    ],
)
def test_an_empty_night_is_that_of_the_run_in_the_survey_s_zone(run_of, run_after, survey, night):
    run_of(run_after)
    assert run_request.night_of_run(survey).name == night


def test_a_retry_on_the_next_day_is_of_the_same_night(run_of):
    run_of("2026-01-01T12:00")
    for now in ("2026-01-01", "2026-01-02", "2026-02-01"):
        with time_machine.travel(datetime.fromisoformat(now).replace(tzinfo=UTC)):
            assert run_request.night_of_run("ztf").name == "20260101"


def test_the_form_s_night_goes_before_all(run_of):
    run_of("2026-01-01T12:00", run_id=SCHEDULED, night="20251224")
    night = run_request.night_of_run("ztf")
    assert night.name == "20251224"
    assert night.end == datetime(2025, 12, 24, 19, tzinfo=UTC)


def test_a_scheduled_night_keeps_its_name_where_the_window_moves_while_it_runs(
    run_of, monkeypatch, tmp_path
):
    run_of("2026-01-01T23:01", run_id=SCHEDULED)
    assert run_request.night_of_run("ztf").name == "20260102"
    moved = {"zone": "Europe/Paris", "opens": "00:05", "closes": "21:00"}
    monkeypatch.setenv("FINK_SURVEYS", str(write_surveys(tmp_path, ztf={"night": moved})))
    night = run_request.night_of_run("ztf")
    assert night.name == "20260102"
    assert night.end == datetime(2026, 1, 2, 20, tzinfo=UTC)


def test_an_unknown_survey_has_no_night(run_of):
    run_of("2026-01-01T12:00")
    with pytest.raises(InvalidRequest, match="survey 'atlas' is unknown"):
        run_request.night_of_run("atlas")


def test_a_request_has_night_and_topic_filled_in(run_of):
    run_of("2026-01-01T23:30")
    request = run_request.stream_request(DeployRequest)
    assert (request.night, request.topic) == ("20260102", "ztf_public_20260102")
    assert request.stream == "stream2raw-ztf-20260102"


def test_what_the_form_says_is_left_as_it_is(run_of):
    run_of("2026-01-01T23:30", night="20251224", topic="mine", survey="lsst",
           skip=["image"])  # fmt: skip
    request = run_request.stream_request(DeployRequest)
    assert (request.night, request.topic, request.survey) == ("20251224", "mine", "lsst")


@pytest.mark.parametrize("night", ["2026-01-01", "20260230", "99991231"])
def test_a_night_that_is_none_fails_the_task_for_good(run_of, night):
    run_of("2026-01-01T12:00", night=night)
    with pytest.raises(AirflowFailException, match=r"^night: "):
        run_request.stream_request(DeployRequest)

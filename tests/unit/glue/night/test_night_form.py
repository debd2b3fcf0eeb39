"""Each survey's night DAG has the schedule and the form of its entry in surveys.yaml."""

import pytest
import time_machine
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.glue.base.form import request_from
from fink_k8s.glue.night.night_form import night_dag_id, night_form, night_schedule
from tests.surveys import write_surveys

ZTF = "Europe/Paris 00:01-20:00"
NIGHT = {"zone": "America/Santiago", "opens": "13:00", "closes": "12:00"}


@pytest.fixture
def surveys(monkeypatch, tmp_path):
    """Return a function that writes the installation's surveys, by name."""

    def write(**rows):
        monkeypatch.setenv("FINK_SURVEYS", str(write_surveys(tmp_path, **rows)))

    return write


def test_the_schedule_is_that_of_the_survey(surveys):
    schedule = night_schedule(survey_of("ztf"))
    assert schedule.serialize() == {"survey": "ztf", "window": ZTF}
    surveys(mine={"night": NIGHT, "topic": "mine_{night}"})
    assert night_schedule(survey_of("mine")).serialize() == {
        "survey": "mine", "window": "America/Santiago 13:00-12:00",
    }  # fmt: skip


def test_a_survey_without_a_topic_for_each_night_has_no_schedule_and_asks_for_the_topic():
    survey = survey_of("lsst")
    assert night_schedule(survey) is None
    topic = night_form(survey)["topic"]
    assert (topic.schema["type"], topic.schema["minLength"]) == ("string", 1)
    assert not topic.has_value


def test_the_form_is_filled_in_as_the_survey_says(surveys):
    form = {"executors": 4, "submit_with": "spark-submit"}
    surveys(mine={"topic": "mine_{night}", "form": form})
    shown = night_form(survey_of("mine"))
    assert [shown[name].value for name in ("executors", "submit_with")] == [4, "spark-submit"]
    assert shown["restarts"].value == 3


def test_the_form_of_a_survey_offers_no_other_survey():
    form = night_form(survey_of("ztf"))
    assert form["survey"].schema["const"] == form["survey"].value == "ztf"
    params = {name: param.value for name, param in form.items()}
    assert request_from(params, NightRequest, form=form).survey == "ztf"


def test_a_form_that_breaks_a_rule_is_refused_where_the_dag_is_made(surveys):
    surveys(mine={"form": {"executors": 0}})
    with pytest.raises(InvalidRequest, match="survey mine: form: executors"):
        night_form(survey_of("mine"))


def test_two_readings_of_a_dag_file_make_one_version_of_it():
    def read():
        return DagSerialization.to_dict(DAG("night", schedule=night_schedule(survey_of("ztf"))))

    with time_machine.travel("2026-01-01T12:00+00:00", tick=False) as clock:
        first = read()
        clock.move_to("2026-07-01T12:00+00:00")
        assert read() == first


def test_the_dag_is_named_after_the_survey():
    assert night_dag_id("ztf") == "fink_night_ztf"

"""The schedule and the form of each survey's night DAG, from surveys.yaml."""

from airflow.sdk import Param

from fink_k8s.core.config.surveys import Survey
from fink_k8s.core.night.night_request import NightRequest, night_form_from
from fink_k8s.glue.base.form import form_of
from fink_k8s.glue.config.timetable import NightTimetable

_ONE_SURVEY = "Survey to read alerts from; each survey has its own night DAG."
_NO_TOPIC = "Name of the topic to read. This survey has no topic for each night in surveys.yaml."


def night_dag_id(survey: str) -> str:
    """Return the id of the DAG that runs the nights of a survey."""
    return f"fink_night_{survey}"


def night_schedule(survey: Survey) -> NightTimetable | None:
    """Return the timetable of a survey's nights; None if each run has to name its topic."""
    return NightTimetable(survey.name, str(survey.window)) if survey.topic else None


def night_form(survey: Survey) -> dict[str, Param]:
    """Return the form of a survey's night, with the defaults of its entry in surveys.yaml.

    Raises:
        InvalidRequest: the entry's `form` breaks a rule.
    """
    form = form_of(NightRequest, **night_form_from(survey))
    # A constant is not shown: this DAG is for one survey.
    form["survey"] = Param(
        survey.name, const=survey.name, title="Survey", type="string", description=_ONE_SURVEY
    )
    if not survey.topic:
        rules = {**form["topic"].schema, "type": "string", "minLength": 1, "description": _NO_TOPIC}
        form["topic"] = Param(**rules)
    return form

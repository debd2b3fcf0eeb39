"""The surveys whose alerts Fink ingests: the one file to change when Fink adds one.

A new survey is one row of `Survey`, and its schema in include/stream2raw/schemas where this
project's job is to read its alerts. Forms, names, nights and docs take it from here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from fink_k8s.core.base.errors import InvalidRequest, shown


class Survey(StrEnum):
    """One row a survey: Fink's `-producer`, the nights by default, the topic of a night.

    The nights are a zone of the IANA database with the local times at which a night opens and
    closes, as `window_from` (night_windows.py) reads them. The topic is empty where the survey
    publishes no topic of its own a night, the schema where only Fink's own code reads its alerts.
    """

    # As Fink in France runs it: from just after midnight until eight in the evening.
    ZTF = "ztf", "Europe/Paris 00:01-20:00", "ztf_public_{night}", "ztf_3p3.avsc"
    # Noon to noon at the telescope: an observing night lies on two dates.
    LSST = "lsst", "America/Santiago 12:00-12:00", "", ""
    ELASTICC = "elasticc", "Europe/Paris 00:01-20:00", "", ""

    default_window: str
    topic_template: str
    schema: str

    def __new__(cls, value: str, default_window: str, topic_template: str, schema: str) -> Self:
        """Make a member of a row; its value is the first column alone."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.default_window = default_window
        member.topic_template = topic_template
        member.schema = schema
        return member

    @property
    def refusal(self) -> str:
        """Return why this project's job does not read the survey's alerts; empty where it does."""
        if self.schema:
            return ""
        return (
            f"survey {self.value}: this project's job does not read its alerts; build Fink's own "
            "code (fink_source), or name the program (main_file) of an image that reads them"
        )


def survey_from(text: str) -> Survey:
    """Return the survey of that name, or say which surveys there are."""
    for survey in Survey:
        if survey == text:
            return survey
    raise InvalidRequest(f"survey {shown(text)} is unknown; use one of {', '.join(Survey)}")


def by_survey(text: str, example: str) -> dict[Survey, str]:
    """Return what a setting says of each survey that it names: `SURVEY=...`, commas between.

    Raises:
        InvalidRequest: an entry has another shape, or a survey is unknown or named twice.
    """
    given: dict[Survey, str] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, equals, value = entry.partition("=")
        if not equals:
            raise InvalidRequest(
                f"entry {shown(entry)} names no survey; give e.g. {example}, with commas between"
            )
        survey = survey_from(name.strip())
        if survey in given:
            raise InvalidRequest(f"survey {survey} is named twice; name it once")
        given[survey] = value.strip()
    return given


def default_topic(survey: str, night: str, templates: Mapping[Survey, str] | None = None) -> str:
    """Return the topic that `survey` publishes `night` on, by its row unless by `templates`.

    Raises:
        InvalidRequest: the survey has no topic of its own for a night.
    """
    one = survey_from(survey)
    template = one.topic_template if templates is None else templates[one]
    if not template:
        raise InvalidRequest(
            f"topic is empty, and survey {survey} has no topic of its own a night; name the "
            "topic, or set FINK_TOPICS"
        )
    return template.format(night=night)

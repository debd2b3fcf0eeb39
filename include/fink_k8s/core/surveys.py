"""The surveys whose alerts Fink ingests: the one file to change when Fink adds one.

A new survey is one row of `Survey`, and its schema in include/stream2raw/schemas. Forms, names,
nights and docs take it from here.
"""

from enum import StrEnum
from typing import Self

from fink_k8s.core.errors import InvalidRequest, shown


class Survey(StrEnum):
    """One row a survey: Fink's `-producer`, the nights by default, the topic of a night.

    The nights are a zone of the IANA database with the local times at which a night opens and
    closes, as `window_from` (core/nights.py) reads them. The topic is empty where the survey
    publishes no topic of its own a night.
    """

    # As Fink in France runs it: from just after midnight until eight in the evening.
    ZTF = "ztf", "Europe/Paris 00:01-20:00", "ztf_public_{night}"
    # Noon to noon at the telescope: an observing night lies on two dates.
    LSST = "lsst", "America/Santiago 12:00-12:00", ""
    ELASTICC = "elasticc", "Europe/Paris 00:01-20:00", ""

    default_window: str
    topic_template: str

    def __new__(cls, value: str, default_window: str, topic_template: str) -> Self:
        """Make a member of a row; its value is the first column alone."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.default_window = default_window
        member.topic_template = topic_template
        return member


def survey_from(text: str) -> Survey:
    """Return the survey of that name, or say which surveys there are."""
    for survey in Survey:
        if survey == text:
            return survey
    raise InvalidRequest(f"survey {shown(text)} is unknown; use one of {', '.join(Survey)}")


def default_topic(survey: str, night: str) -> str:
    """Return the topic that `survey` publishes `night` on.

    Raises:
        InvalidRequest: the survey has no topic of its own for a night.
    """
    template = survey_from(survey).topic_template
    if not template:
        raise InvalidRequest(
            f"topic is empty, and survey {survey} has no topic of its own a night; name the topic"
        )
    return template.format(night=night)

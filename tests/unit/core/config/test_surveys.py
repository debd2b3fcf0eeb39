import copy
import pickle
import re

import pytest

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config import surveys
from fink_k8s.core.config.surveys import Survey
from fink_k8s.core.kafka.topics import topic_from
from fink_k8s.core.stream.stream_names import parse_stream_name, stream_name


def test_a_survey_is_its_name_wherever_it_goes():
    for survey in Survey:
        assert survey == survey.value == str(survey)
        assert surveys.survey_from(survey.value) is survey
        assert pickle.loads(pickle.dumps(survey)) is survey
        assert copy.deepcopy(survey) is survey


@pytest.mark.parametrize("survey", Survey)
def test_a_row_serves_for_names_and_topics(survey):
    """What holds for a row that is added, without which a night of it could not be named."""
    assert re.fullmatch(r"[a-z0-9]+", survey)
    assert parse_stream_name(stream_name(survey, "20260101")) == (survey, "20260101")
    if survey.topic_template:
        topics = [surveys.default_topic(survey, night) for night in ("20260101", "20260102")]
        assert topic_from(topics[0]) != topic_from(topics[1])


@pytest.mark.parametrize("survey", ["", "ZTF", "atlas", "ztf\n", None, 1])
def test_an_unknown_survey_is_refused_with_those_there_are(survey):
    with pytest.raises(InvalidRequest, match=r"^survey .* use one of ztf, lsst, elasticc$"):
        surveys.survey_from(survey)


def test_ztf_has_a_topic_each_night():
    assert surveys.default_topic("ztf", "20260101") == "ztf_public_20260101"


@pytest.mark.parametrize("survey", ["lsst", "elasticc"])
def test_other_surveys_topics_have_to_be_named(survey):
    with pytest.raises(InvalidRequest, match=rf"topic is empty, .*{survey}.*name the topic"):
        surveys.default_topic(survey, "20260101")


def test_an_unknown_survey_has_no_topic():
    with pytest.raises(InvalidRequest, match="survey 'atlas' is unknown"):
        surveys.default_topic("atlas", "20260101")

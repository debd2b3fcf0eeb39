import re
from pathlib import Path

import pytest
import yaml

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config import surveys
from fink_k8s.core.config.surveys import (
    READERS,
    SHIPPED,
    load_surveys,
    survey_of,
    surveys_from,
)
from fink_k8s.core.kafka.topics import topic_from
from fink_k8s.core.stream.stream_names import parse_stream_name, stream_name
from stream2raw.surveys import producers

NIGHT = {"zone": "UTC", "opens": "18:00", "closes": "06:00"}
SURVEYS = surveys_from(SHIPPED.read_text()).surveys


def text_of(*rows, **fields):
    """Return the YAML of surveys; `fields` are those of one that is called `mine`."""
    rows = rows or ({"name": "mine", "night": NIGHT, **fields},)
    return yaml.safe_dump({"surveys": list(rows)})


@pytest.mark.shows("CONTRIBUTING.md#add-survey")
@pytest.mark.parametrize("survey", SURVEYS, ids=lambda survey: survey.name)
def test_a_row_serves_for_names_and_topics(survey):
    """What holds for a row that is added, without which a night of it could not be named."""
    assert re.fullmatch(r"[a-z0-9]+", survey.name)
    assert parse_stream_name(stream_name(survey.name, "20260101")) == (survey.name, "20260101")
    if survey.topic:
        topics = [survey.topic_of(night) for night in ("20260101", "20260102")]
        assert topic_from(topics[0]) != topic_from(topics[1])


@pytest.mark.shows("CONTRIBUTING.md#add-survey")
@pytest.mark.parametrize("survey", SURVEYS, ids=lambda survey: survey.name)
def test_what_the_job_reads_has_a_schema_a_module_and_the_same_key_and_time(survey):
    is_read = survey.reader in producers()
    assert is_read == (survey.refusal == "") == bool(survey.schema_file)
    if is_read:
        text = (READERS / f"{survey.reader}.py").read_text()
        assert f'KEY = "{survey.key}"' in text
        assert f'TIME = "{survey.time}"' in text
        assert (READERS.parent / "schemas" / survey.schema_file).is_file()


@pytest.mark.parametrize("survey", ["", "ZTF", "atlas", "ztf\n", None, 1])
def test_an_unknown_survey_is_refused_with_those_there_are(survey):
    with pytest.raises(InvalidRequest, match=r"^survey .* use one of ztf, lsst, elasticc$"):
        survey_of(survey)


def test_ztf_has_a_topic_each_night():
    assert survey_of("ztf").topic_of("20260101") == "ztf_public_20260101"


@pytest.mark.parametrize("survey", ["lsst", "elasticc"])
def test_other_surveys_topics_have_to_be_named(survey):
    with pytest.raises(InvalidRequest, match=rf"topic is empty, .*{survey}.*enter the topic"):
        survey_of(survey).topic_of("20260101")


def test_the_windows_are_those_of_the_file():
    windows = {survey.name: str(survey.window) for survey in SURVEYS}
    assert windows == {
        "ztf": "Europe/Paris 00:01-20:00",
        "lsst": "America/Santiago 12:00-12:00",
        "elasticc": "Europe/Paris 00:01-20:00",
    }


def test_a_row_of_ones_own_has_all_that_it_says():
    [mine] = surveys_from(
        text_of(
            topic="alerts.{night}", producer="ztf", schema="ztf_3p3.avsc", store_prefix="mine/",
            brokers={"servers": "kafka:9092"}, form={"executors": 4},
        )
    ).surveys  # fmt: skip
    assert str(mine.window) == "UTC 18:00-06:00"
    assert mine.topic_of("20260101") == "alerts.20260101"
    assert (mine.reader, mine.refusal, mine.store_prefix) == ("ztf", "", "mine")
    assert mine.brokers.servers == "kafka:9092"
    assert mine.form == {"executors": 4}


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"topic": "alerts"}, "survey mine: topic: is the same for every night; write {night}"),
        ({"topic": "{night}_{night}"}, "survey mine: topic: is the same for every night"),
        ({"topic": "alerts {night}"}, "survey mine: topic: .*Kafka topic name"),
        ({"topic": "{survey}_{night}"}, "survey mine: topic: .*Kafka topic name"),
        ({"topic": ".*{night}"}, "survey mine: topic: .*Kafka topic name"),
        ({"night": {**NIGHT, "zone": "Mars/Base"}}, "survey mine: night: time zone 'Mars/Base'"),
        ({"night": {**NIGHT, "opens": "24:00"}}, "survey mine: night: time '24:00'"),
        ({"night": "UTC"}, "survey mine: night: "),
        ({"brokers": {"servers": "kafka"}}, "survey mine: brokers.servers: .*host:port"),
        ({"brokers": {"servers": "k:1", "connection": "c"}}, "both connection and servers"),
        ({"store_prefix": "/abs"}, "survey mine: store_prefix: begins with a slash"),
        ({"store_prefix": "../x"}, "survey mine: store_prefix: "),
        ({"store_prefix": "file:///x"}, "survey mine: store_prefix: must begin with"),
        ({"schema": "../x.avsc"}, "survey mine: schema: "),
        ({"key": "a b"}, "survey mine: key: "),
        ({"topik": "x"}, "survey mine: topik: Extra inputs"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_with_its_field(fields, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        surveys_from(text_of(**fields))
    assert str(caught.value).startswith("surveys.yaml: ")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("surveys: []", "the list of surveys is empty"),
        ("[", "is not valid YAML"),
        ("", "valid dictionary"),
        (text_of({"night": NIGHT}), "survey number 1: name: Field required"),
        (text_of({"name": "ZTF", "night": NIGHT}), "survey ZTF: name: String should match"),
        (
            text_of(*[{"name": "a", "night": NIGHT}] * 2),
            "two surveys have name 'a'; give each survey its",
        ),
        (
            text_of({"name": "a", "night": NIGHT}, {"name": "b", "night": NIGHT}),
            "two surveys have store_prefix ''; give each survey its own folder",
        ),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(text, rule):
    with pytest.raises(InvalidRequest, match=rule):
        surveys_from(text)


def test_an_installation_has_a_file_of_its_own_and_a_change_is_seen(monkeypatch, tmp_path):
    file = tmp_path / "surveys.yaml"
    file.write_text(text_of())
    monkeypatch.setenv("FINK_SURVEYS", str(file))
    assert load_surveys().names == ["mine"]
    assert surveys.default_survey() == "mine"
    file.write_text(text_of({"name": "other", "night": NIGHT}))
    assert load_surveys().names == ["other"]


def test_a_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("FINK_SURVEYS", "/nowhere/surveys.yaml")
    with pytest.raises(InvalidRequest, match=r"FINK_SURVEYS /nowhere/surveys.yaml cannot be read"):
        load_surveys()


def test_a_survey_is_read_by_this_job_only_where_module_and_schema_are_there():
    [without_schema] = surveys_from(text_of(producer="ztf")).surveys
    [without_module] = surveys_from(text_of(schema="ztf_3p3.avsc")).surveys
    for survey in (without_schema, without_module):
        assert survey.refusal.startswith("survey mine: this project's job cannot read its alerts")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"schema": "nowhere.avsc"}, "schema nowhere.avsc does not exist"),
        ({"key": "objectId"}, "key is objectId, but this project's job reads candid"),
        ({"time": "candidate.mjd"}, "time is candidate.mjd, but .* reads candidate.jd"),
    ],
)
def test_a_row_that_does_not_fit_the_job_s_module_is_not_read_by_it(fields, rule):
    [mine] = surveys_from(
        text_of(**{"producer": "ztf", "schema": "ztf_3p3.avsc", **fields})
    ).surveys
    assert re.search(rf"^survey mine: {rule}", mine.refusal)


def test_a_file_that_is_no_text_is_named(monkeypatch, tmp_path):
    file = tmp_path / "surveys.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("FINK_SURVEYS", str(file))
    with pytest.raises(InvalidRequest, match=r"cannot be read \(it is not UTF-8 text"):
        load_surveys()


@pytest.mark.parametrize(
    "variable", ["FINK_NIGHTS", "FINK_TOPICS", "FINK_NIGHT_SURVEY", "FINK_NIGHT_FORM"]
)
def test_a_replaced_variable_is_refused_wherever_surveys_are_read(monkeypatch, variable):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(InvalidRequest, match=f"^{variable} is no longer used"):
        load_surveys()


def test_the_shipped_file_is_beside_the_library():
    assert Path("include/surveys.yaml").resolve() == SHIPPED

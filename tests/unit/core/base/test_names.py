import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fink_k8s.core.base import names
from fink_k8s.core.base.errors import InvalidRequest

TODAY = date(2026, 3, 1)
TOPIC = st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True).filter(
    lambda t: t not in {".", ".."}
)


@pytest.mark.parametrize("night", ["20000101", "20240229", "20260228", "20260301", "20260302"])
def test_a_date_up_to_tomorrow_is_a_night(night):
    assert names.night_from(night, today=TODAY) == night


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "YYYYMMDD"),
        ("2024-1-1", "YYYYMMDD"),
        ("2024-01-01", "YYYYMMDD"),
        ("202401", "YYYYMMDD"),
        ("202401011", "YYYYMMDD"),
        ("../20240101", "YYYYMMDD"),
        ("20240101/..", "YYYYMMDD"),
        ("20240101\n", "YYYYMMDD"),
        (" 20240101", "YYYYMMDD"),
        ("+2024101", "YYYYMMDD"),
        ("\uff12\uff10\uff12\uff14\uff10\uff11\uff10\uff11", "YYYYMMDD"),
        ("\u0662\u0660\u0662\u0664\u0660\u0661\u0660\u0661", "YYYYMMDD"),
        (20240101, "YYYYMMDD"),
        (None, "YYYYMMDD"),
        ("20240230", "no date of the calendar"),
        ("20230229", "no date of the calendar"),
        ("20241301", "no date of the calendar"),
        ("00000101", "no date of the calendar"),
        ("19991231", "before 20000101"),
        ("20260303", "in the future; give a night up to 20260302"),
        ("99991231", "in the future"),
    ],
)
def test_what_is_no_night_is_refused_with_the_rule(text, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        names.night_from(text, today=TODAY)
    assert str(caught.value).startswith("night ")
    assert "; give" in str(caught.value)


def test_without_a_date_the_clock_decides_in_utc():
    today = datetime.now(UTC).date()
    assert names.night_from(f"{today:%Y%m%d}") == f"{today:%Y%m%d}"
    with pytest.raises(InvalidRequest, match="future"):
        names.night_from(f"{today + timedelta(days=3):%Y%m%d}")


def test_a_message_shows_outside_text_in_short_ascii():
    with pytest.raises(InvalidRequest) as caught:
        names.night_from("\u202e" + "9" * 500)
    assert str(caught.value).isascii()
    assert "\\u202e999" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("survey", ["ztf", "lsst", "elasticc"])
def test_a_streams_name_says_survey_and_night(survey):
    stream = names.stream_name(survey, "20260101")
    assert stream == f"stream2raw-{survey}-20260101"
    assert names.parse_stream_name(stream) == (survey, "20260101")


@pytest.mark.parametrize("survey", ["", "ZTF", "atlas", "ztf\n", None])
def test_an_unknown_survey_is_refused_with_those_there_are(survey):
    with pytest.raises(InvalidRequest, match=r"^survey .* use one of ztf, lsst, elasticc$"):
        names.stream_name(survey, "20260101")


@pytest.mark.parametrize("night", ["", "../20240101", "20240101\n", "A", "1" * 60])
def test_a_streams_name_is_a_kubernetes_name_or_refused(night):
    with pytest.raises(InvalidRequest, match=r"^stream "):
        names.stream_name("ztf", night)


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "stream2raw",
        "stream2raw-atlas-20260101",
        "stream2raw-ztf-2026",
        "stream2raw-ztf-20260101-driver",
        "x-stream2raw-ztf-20260101",
        "stream2raw-ztf-20260101\n",
        "stream2raw-ztf-\uff12\uff10\uff12\uff16\uff10\uff11\uff10\uff11",
    ],
)
def test_another_name_is_no_streams(stream):
    with pytest.raises(InvalidRequest, match=r"stream2raw-<survey>-<night>; give e\.g\."):
        names.parse_stream_name(stream)


def test_the_drivers_pod_is_named_as_the_operator_does():
    assert names.driver_pod_name("stream2raw-ztf-20260101") == "stream2raw-ztf-20260101-driver"


def test_labels_let_a_night_and_a_survey_be_selected():
    assert names.labels_of("ztf", "20260101") == {
        "app.kubernetes.io/name": "stream2raw",
        "app.kubernetes.io/component": "stream",
        "app.kubernetes.io/part-of": "fink",
        "app.kubernetes.io/managed-by": "airflow",
        "fink.night": "20260101",
        "fink.survey": "ztf",
    }


def test_objects_of_all_nights_belong_to_none():
    labels = names.platform_labels()
    assert labels["app.kubernetes.io/component"] == "access"
    assert not {"fink.night", "fink.survey"} & set(labels)


@pytest.mark.parametrize("text", ["a", "spark", "0-a", "a" * 63])
def test_a_dns_label_is_a_kubernetes_name(text):
    assert names.kubernetes_name(text, field="namespace") == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "lower-case letters"),
        ("Spark", "lower-case letters"),
        ("-spark", "beginning and ending"),
        ("spark-", "beginning and ending"),
        ("a.b", "lower-case letters"),
        ("a_b", "lower-case letters"),
        ("a/b", "lower-case letters"),
        ("spark\n", "lower-case letters"),
        ("sp\u00e4rk", "lower-case letters"),
        (None, "lower-case letters"),
        ("a" * 64, "64 characters; use at most 63"),
    ],
)
def test_what_is_no_kubernetes_name_is_refused_with_field_and_rule(text, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        names.kubernetes_name(text, field="namespace")
    assert str(caught.value).startswith("namespace ")


@pytest.mark.parametrize("topic", ["ztf_public_20260101", "a", "a.b-c_D", "...", "x" * 249])
def test_a_legal_topic_is_taken_as_it_is(topic):
    assert names.topic_from(topic) == topic


@pytest.mark.parametrize(
    ("topic", "rule"),
    [
        ("", "is no Kafka topic name"),
        (".", "is no Kafka topic name"),
        ("..", "is no Kafka topic name"),
        (".*", r"patterns such as \.\* are not allowed"),
        ("ztf_.*", "is no Kafka topic name"),
        ("a|b", "is no Kafka topic name"),
        ("a,b", "is no Kafka topic name"),
        ("a b", "is no Kafka topic name"),
        ("a\0b", "is no Kafka topic name"),
        ("topic\n", "is no Kafka topic name"),
        ("t\u043epic", "is no Kafka topic name"),
        (None, "is no Kafka topic name"),
        ("x" * 250, "has 250 characters; use at most 249"),
    ],
)
def test_what_is_not_one_legal_topic_is_refused(topic, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        names.topic_from(topic)
    assert str(caught.value).startswith("topic ")


@settings(deadline=None)
@example("a.b", "axb")
@example("ztf.public", "ztf_public")
@example("ztf_public_20260101", "ztf_public_20260101_test")
@given(TOPIC, TOPIC)
def test_a_topics_pattern_is_found_in_this_topic_and_no_other(topic, other):
    pattern = names.topic_pattern(topic)
    assert re.search(pattern, topic)
    assert bool(re.search(pattern, other)) is (topic == other)
    assert names.topic_of_pattern(pattern) == topic


def test_no_pattern_is_made_of_a_pattern():
    with pytest.raises(InvalidRequest, match="patterns"):
        names.topic_pattern(".*")


@pytest.mark.parametrize("prefix", ["s3a://fink", "s3a://fink/"])
def test_a_night_is_one_folder_in_each_part_of_the_store(prefix):
    assert names.raw_path(prefix, "20260101") == "s3a://fink/raw/20260101"
    assert names.checkpoint_path(prefix, "20260101") == "s3a://fink/raw_checkpoint/20260101"
    assert names.quarantine_path(prefix, "20260101") == "s3a://fink/raw_quarantine/20260101"

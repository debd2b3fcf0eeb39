from datetime import UTC, date, datetime, timedelta

import pytest
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
        ("20240230", "not a valid date"),
        ("20230229", "not a valid date"),
        ("20241301", "not a valid date"),
        ("00000101", "not a valid date"),
        ("19991231", "before 20000101"),
        ("20260303", "in the future; enter a night up to 20260302"),
        ("99991231", "in the future"),
    ],
)
def test_what_is_no_night_is_refused_with_the_rule(text, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        names.night_from(text, today=TODAY)
    assert str(caught.value).startswith("night ")
    assert "; enter" in str(caught.value)


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

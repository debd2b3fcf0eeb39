import re
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.surveys import Survey
from fink_k8s.core.night.night_request import NightRequest, WhenKilled, night_form_from
from fink_k8s.core.stream.stream_request import IfDiffers, StreamRequest

CLOSE = datetime(2026, 1, 1, 19, tzinfo=UTC)


def test_a_night_that_nobody_asks_anything_of_ends_when_it_closes_and_must_be_proved():
    request = NightRequest()
    assert request.end(otherwise=CLOSE) == CLOSE
    assert request.require_proof
    # What is most careful: nothing is ended, replaced or taken over that somebody else began.
    assert request.if_differs is IfDiffers.REFUSE
    assert request.when_killed is WhenKilled.LEAVE


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T22:30:00+01:00",
        "2026-01-01T21:30:00Z",
        "2026-01-01T21:30Z",
        "2026-01-01T21:30:00.000+00:00",
        "20260101T213000Z",
        "2026-01-01T18:30:00-03:00",
    ],
)
def test_a_moment_with_its_zone_goes_before_the_close(text):
    end = NightRequest(ends_at=text).end(otherwise=CLOSE)
    assert end == datetime(2026, 1, 1, 21, 30, tzinfo=UTC)
    assert end.tzinfo is UTC


ZONELESS = "has no time zone; enter a time like 2026-01-01T20:00:00+01:00"
NONSENSE = "is not a valid time; enter a time like 2026-01-01T20:00:00+01:00"
PATTERN = "should match pattern"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2026-01-01T20:00:00", ZONELESS),
        ("2026-01-01T20:00", ZONELESS),
        ("2026-01-01", ZONELESS),
        ("20260101", ZONELESS),
        ("20:00", NONSENSE),
        ("-", NONSENSE),
        ("+01:00", NONSENSE),
        ("2026-02-30T20:00:00Z", NONSENSE),
        ("2026-01-01T25:00:00Z", NONSENSE),
        ("2026-01-01T20:00:00+99:00", NONSENSE),
        ("2026-01-01T20:00:00+01:00Z", NONSENSE),
        ("1767294000", NONSENSE),
        ("0001-01-01T00:00:00+01:00", NONSENSE),
        ("9999-12-31T23:59:59-01:00", NONSENSE),
        (" ", PATTERN),
        ("2026-01-01 20:00:00Z", PATTERN),
        ("2026-01-01T20:00:00Z\n", PATTERN),
        ("tomorrow", PATTERN),
        ("2026-01-01T20:00:00[Europe/Paris]", PATTERN),
        ("\uff12026-01-01T20:00:00Z", PATTERN),
        ("2026-01-01T20:00:00.00000000000000000+01:00", "at most 40 characters"),
    ],
)
def test_an_end_that_is_no_moment_is_refused_with_the_rule(text, rule):
    with pytest.raises(ValidationError, match=re.escape(rule)) as caught:
        NightRequest(ends_at=text)
    assert {error["loc"] for error in caught.value.errors()} == {("ends_at",)}


@pytest.mark.parametrize("value", [None, 1767294000, CLOSE])
def test_an_end_is_a_text(value):
    with pytest.raises(ValidationError, match="valid string"):
        NightRequest(ends_at=value)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("quiet_minutes", 0, 120),
        ("grace_minutes", 0, 360),
        ("last_batch_minutes", 0.1, 20),
        ("restarts", 0, 20),
        ("stop_after_hours", 0.02, 48),
    ],
)
def test_a_number_has_its_bounds(field, least, most):
    for value in (least, most):
        assert getattr(NightRequest(**{field: value}), field) == value
    for value, rule in ((least - 1, f"greater than or equal to {least}"),
                        (most + 1, f"less than or equal to {most}")):  # fmt: skip
        with pytest.raises(ValidationError, match=rule) as caught:
            NightRequest(**{field: value})
        assert caught.value.errors()[0]["loc"] == (field,)


def test_the_job_s_own_limit_outlasts_the_longest_night_with_its_grace():
    """A window is at most a day and the hour of the clocks; the drain comes after it."""
    limits = NightRequest(grace_minutes=360, last_batch_minutes=20)
    own = NightRequest().stop_after_hours
    assert own == StreamRequest().stop_after_hours, "else it adopts no other's"
    assert own > 25 + (limits.grace_minutes + limits.last_batch_minutes) / 60


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"if_differs": "replace"}, "'refuse', 'adopt' or 'upgrade'"),
        ({"when_killed": "kill"}, "'leave' or 'stop'"),
        ({"when_killed": ""}, "'leave' or 'stop'"),
        ({"require_proof": "perhaps"}, "valid boolean"),
        ({"restarts": 1.5}, "valid integer"),
        ({"survey": "atlas"}, "is unknown; use one of ztf, lsst, elasticc"),
        ({"night": "20260230"}, "not a valid date"),
        ({"night": "2026-1-1"}, PATTERN),
        ({"topic": "ztf_.*"}, PATTERN),
        ({"image_tag": "sha256:12"}, "is not a valid digest; enter sha256: and 64 hex digits"),
        ({"main_file": "/../x.py"}, "main_file"),
        # Stages belong to fink_deploy, identities to the settings.
        ({"skip": ["healthy"]}, "Extra inputs are not permitted"),
        ({"namespace": "kube-system"}, "Extra inputs are not permitted"),
        ({"end_at": "2026-01-01T20:00:00Z"}, "Extra inputs are not permitted"),
    ],
)
def test_what_breaks_a_rule_is_refused(fields, rule):
    with pytest.raises(ValidationError, match=re.escape(rule)) as caught:
        NightRequest(**fields)
    assert caught.value.errors()[0]["loc"][0] == next(iter(fields))


def test_all_that_was_asked_is_kept_when_night_and_topic_are_filled_in():
    asked = NightRequest(
        ends_at="2026-01-01T21:30:00Z", restarts=0, when_killed="stop", if_differs="upgrade"
    )
    request = asked.filled_in("20260101")
    assert (request.night, request.topic) == ("20260101", "ztf_public_20260101")
    assert request.model_dump(exclude={"night", "topic"}) == asked.model_dump(
        exclude={"night", "topic"}
    )


def survey_with(**form):
    night = {"zone": "UTC", "opens": "00:00", "closes": "00:00"}
    return Survey(name="ztf", night=night, form=form)


def test_an_installation_fills_in_the_form_of_its_nights():
    assert night_form_from(survey_with()) == {}
    assert night_form_from(survey_with(executors=4)) == {"executors": 4}
    given = {"executors": "4", "require_proof": "no", "submit_with": "spark-submit"}
    assert night_form_from(survey_with(**given)) == {
        "executors": 4, "require_proof": False, "submit_with": "spark-submit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        ({"executor": 4}, "executor: Extra inputs are not permitted"),
        ({"executors": 0}, "executors: Input should be greater than or equal to 1"),
        ({"night": "20260101"}, "night is not allowed; each run has its own"),
        ({"topic": "t"}, "topic is not allowed; set the survey's `topic` instead"),
        ({"survey": "lsst"}, "survey is not allowed; each survey has its own form"),
        ({"ends_at": ""}, "ends_at is not allowed; set the survey's `night` instead"),
    ],
)
def test_what_a_form_cannot_be_filled_in_with_is_named(form, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        night_form_from(survey_with(**form))
    assert str(caught.value).startswith("surveys.yaml: survey ztf: form: ")

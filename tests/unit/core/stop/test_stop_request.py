import re

import pytest
from pydantic import ValidationError

from fink_k8s.core.stop.stop_request import StopHow, StopManner, StopRequest

ZTF, LSST = "stream2raw-ztf-20060101", "stream2raw-lsst-20060101"
OTHER = "stream2raw-ztf-20060102"
THERE = [ZTF, LSST, OTHER]


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ({"streams": [ZTF]}, [ZTF]),
        ({"streams": [OTHER, ZTF, ZTF]}, [ZTF, OTHER]),
        ({"streams": ["stream2raw-ztf-20060109"]}, ["stream2raw-ztf-20060109"]),
        ({"night": "20060101"}, [LSST, ZTF]),
        ({"night": "20060101", "surveys": ["lsst"]}, [LSST]),
        ({"night": "20060109"}, []),
        ({"all_streams": True}, sorted(THERE)),
    ],
)
def test_the_streams_that_are_meant(fields, chosen):
    assert StopRequest(**fields).chosen(THERE) == chosen


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, "enter streams, or night (and surveys), or set all_streams"),
        ({"streams": [], "night": "", "all_streams": False}, "no stream is chosen"),
        ({"how": "at-once"}, "no stream is chosen"),
        ({"surveys": ["ztf"]}, "no stream is chosen"),
        ({"streams": [ZTF], "night": "20060101"}, "streams and night are set; set exactly one"),
        ({"night": "20060101", "all_streams": True}, "night and all_streams are set"),
        ({"streams": [ZTF], "all_streams": True}, "streams and all_streams are set"),
        ({"streams": [ZTF], "surveys": ["ztf"]}, "enter night as well"),
        ({"all_streams": True, "surveys": ["ztf"]}, "enter night as well"),
        ({"streams": ["spark-pi"]}, "not of the form stream2raw-<survey>-<night>"),
        ({"streams": [ZTF, "stream2raw-ztf-*"]}, "should match pattern"),
        ({"streams": ["stream2raw-ztf-20060230"]}, "not a valid date"),
        ({"streams": [f"{ZTF}\n"]}, "should match pattern"),
        ({"streams": [f"{ZTF}-driver"]}, "not of the form"),
        ({"streams": ["x" * 64]}, "at most 63"),
        ({"streams": ZTF}, "valid list"),
        ({"night": "20060230"}, "not a valid date"),
        ({"night": "*"}, "should match pattern"),
        ({"night": "20060101", "surveys": ["atlas"]}, "is unknown; use one of ztf, lsst, elasticc"),
        ({"all_streams": True, "how": "now"}, "'gracefully' or 'at-once'"),
        ({"all_streams": True, "limit_minutes": 0.09}, "greater than or equal to 0.1"),
        ({"all_streams": True, "limit_minutes": 20.1}, "less than or equal to 20"),
        ({"all": True}, "Extra inputs are not permitted"),
        ({"namespace": "kube-system", "all_streams": True}, "Extra inputs are not permitted"),
    ],
)
def test_what_breaks_a_rule_is_refused(fields, rule):
    with pytest.raises(ValidationError, match=re.escape(rule)):
        StopRequest(**fields)


def test_nothing_is_killed_or_forced_unless_it_is_asked_for():
    manner = StopRequest(streams=[ZTF]).manner
    assert manner == StopManner()
    assert manner.how is StopHow.GRACEFULLY
    assert (manner.then_at_once, manner.force_lost) == (False, False)


def test_the_manner_is_the_requests_own():
    fields = {"how": "at-once", "then_at_once": True, "force_lost": True}
    request = StopRequest(night="20060101", limit_minutes=0.12, **fields)
    assert request.manner == StopManner(limit_s=7, **fields)


@pytest.mark.parametrize(("minutes", "seconds"), [(0.1, 6), (2, 120), (20, 1200)])
def test_the_manner_s_time_limit_is_in_seconds(minutes, seconds):
    assert StopRequest(all_streams=True, limit_minutes=minutes).manner.limit_s == seconds


@pytest.mark.parametrize("minutes", [float("nan"), float("inf")])
def test_a_time_limit_is_a_finite_number(minutes):
    with pytest.raises(ValidationError, match="finite number"):
        StopRequest(all_streams=True, limit_minutes=minutes)


def test_every_field_of_the_form_has_title_and_description():
    for name, field in StopRequest.model_fields.items():
        assert field.title, name
        assert re.fullmatch(r".+\.", field.description), name

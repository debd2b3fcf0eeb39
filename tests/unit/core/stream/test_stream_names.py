from datetime import date

import pytest
from hypothesis import strategies as st

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.stream import stream_names

TODAY = date(2026, 3, 1)
TOPIC = st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True).filter(
    lambda t: t not in {".", ".."}
)


@pytest.mark.parametrize("survey", ["ztf", "lsst", "elasticc"])
def test_a_streams_name_says_survey_and_night(survey):
    stream = stream_names.stream_name(survey, "20260101")
    assert stream == f"stream2raw-{survey}-20260101"
    assert stream_names.parse_stream_name(stream) == (survey, "20260101")


@pytest.mark.parametrize("survey", ["", "ZTF", "atlas", "ztf\n", None])
def test_an_unknown_survey_is_refused_with_those_there_are(survey):
    with pytest.raises(InvalidRequest, match=r"^survey .* use one of ztf, lsst, elasticc$"):
        stream_names.stream_name(survey, "20260101")


@pytest.mark.parametrize("night", ["", "../20240101", "20240101\n", "A", "1" * 60])
def test_a_streams_name_is_a_kubernetes_name_or_refused(night):
    with pytest.raises(InvalidRequest, match=r"^stream "):
        stream_names.stream_name("ztf", night)


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "stream2raw",
        "stream2raw-ATLAS-20260101",
        "stream2raw-ztf-2026",
        "stream2raw-ztf-20260101-driver",
        "x-stream2raw-ztf-20260101",
        "stream2raw-ztf-20260101\n",
        "stream2raw-ztf-\uff12\uff10\uff12\uff16\uff10\uff11\uff10\uff11",
    ],
)
def test_another_name_is_no_streams(stream):
    with pytest.raises(InvalidRequest, match=r"stream2raw-<survey>-<night>; for example, enter"):
        stream_names.parse_stream_name(stream)


def test_the_drivers_pod_is_named_as_the_operator_does():
    assert (
        stream_names.driver_pod_name("stream2raw-ztf-20260101") == "stream2raw-ztf-20260101-driver"
    )


def test_a_stream_whose_survey_is_no_longer_in_the_file_can_still_be_found_and_stopped():
    assert stream_names.parse_stream_name("stream2raw-atlas-20260101") == ("atlas", "20260101")

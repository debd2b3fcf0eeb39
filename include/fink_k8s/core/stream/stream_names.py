"""The name of a stream, which is the lock of its night, and the names that follow from it."""

import re
from typing import Annotated

from pydantic import Field

from fink_k8s.core.base.errors import InvalidRequest, shown
from fink_k8s.core.base.fields import checked_by
from fink_k8s.core.base.names import LABEL_NIGHT, LABEL_SURVEY, kubernetes_name, night_from
from fink_k8s.core.config.surveys import survey_of

_STREAM = re.compile(r"stream2raw-([a-z][a-z0-9]{0,19})-([0-9]{8})")
_DRIVER_SUFFIX = "-driver"


def stream_name(survey: str, night: str) -> str:
    """Return the name of the one application that may write `night`: the name is the lock."""
    return kubernetes_name(f"stream2raw-{survey_of(survey).name}-{night}", field="stream")


def parse_stream_name(stream: str) -> tuple[str, str]:
    """Return (survey, night) of a stream's name.

    The survey need not be in surveys.yaml: a stream that runs when its survey is removed from the
    file must still be seen and stopped.

    Raises:
        InvalidRequest: the name does not have the form of a stream's name.
    """
    match = _STREAM.fullmatch(stream)
    if match is None:
        raise InvalidRequest(
            f"stream {shown(stream)} is not of the form stream2raw-<survey>-<night>; "
            "for example, enter stream2raw-ztf-20260101"
        )
    return match[1], match[2]


StreamName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9-]+$", max_length=63),
    checked_by(lambda stream: night_from(parse_stream_name(stream)[1])),
]
"""The name of a stream whose night has begun."""


def pod_selector(stream: str) -> str:
    """Return the label selector of a stream's pods, however it was submitted.

    Raises:
        InvalidRequest: the name is not one that `stream_name` makes.
    """
    survey, night = parse_stream_name(stream)
    return f"{LABEL_SURVEY}={survey},{LABEL_NIGHT}={night}"


def driver_pod_name(stream: str) -> str:
    """Return the name of `stream`'s driver pod: the Spark Operator's name, used for both ways."""
    return f"{stream}{_DRIVER_SUFFIX}"

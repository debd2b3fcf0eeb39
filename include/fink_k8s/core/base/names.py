"""Names of nights and of Kubernetes objects, their labels, and the rules that they obey."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from fink_k8s.core.base.errors import InvalidRequest, shown

LABEL_NIGHT = "fink.night"
LABEL_SURVEY = "fink.survey"
ANNOTATION_SPEC_HASH = "fink.spec-hash"
ANNOTATION_SPEC = "fink.spec"
FIELD_MANAGER = "fink-airflow"
LABEL_OF_OPERATOR = "sparkoperator.k8s.io/launched-by-spark-operator"
"""On each pod that the Spark Operator launched."""

_NIGHT = re.compile(r"[0-9]{8}")
_FIRST_NIGHT = date(2000, 1, 1)
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_LABEL_MAX = 63


def is_of_operator(pod: Mapping[str, Any]) -> bool:
    """Tell whether the Spark Operator launched a pod; `pod` is as the API server has it."""
    return bool(pod.get("metadata", {}).get("labels", {}).get(LABEL_OF_OPERATOR))


def date_of(night: str) -> date:
    """Return the date that a night's name, `YYYYMMDD` in ASCII digits, is.

    Raises:
        InvalidRequest: it has another shape, or is not a date of the calendar.
    """
    if not isinstance(night, str) or _NIGHT.fullmatch(night) is None:
        raise InvalidRequest(
            f"night {shown(night)} is not of the form YYYYMMDD; enter eight digits, e.g. 20260101"
        )
    try:
        day = datetime.strptime(night, "%Y%m%d").date()
    except ValueError as error:
        raise InvalidRequest(
            f"night {shown(night)} is not a valid date; enter a date of the calendar, e.g. 20260101"
        ) from error
    if day < _FIRST_NIGHT:
        raise InvalidRequest(
            f"night {shown(night)} is before {_FIRST_NIGHT:%Y%m%d}; enter year, month and day, "
            "e.g. 20260101"
        )
    return day


def night_from(text: str, *, today: date | None = None) -> str:
    """Check that `text` is a night, `YYYYMMDD` in ASCII digits, and return it.

    A night may lie one day ahead of `today` (UTC, default the clock's): it is named by the date
    of its own zone, which east of Greenwich begins before that of UTC.

    Raises:
        InvalidRequest: it has another shape, is not a date of the calendar, or is in the future.
    """
    day = date_of(text)
    last = (today or datetime.now(UTC).date()) + timedelta(days=1)
    if day > last:
        raise InvalidRequest(
            f"night {shown(text)} is in the future; enter a night up to {last:%Y%m%d}"
        )
    return text


NightName = Annotated[str, Field(pattern=r"^[0-9]{8}$", max_length=8), AfterValidator(night_from)]
"""A night, `YYYYMMDD`, that is not in the future."""


def labels_of(survey: str, night: str) -> dict[str, str]:
    """Return the labels that every object of one night's stream carries."""
    return {
        "app.kubernetes.io/name": "stream2raw",
        "app.kubernetes.io/component": "stream",
        "app.kubernetes.io/part-of": "fink",
        "app.kubernetes.io/managed-by": "airflow",
        LABEL_NIGHT: night,
        LABEL_SURVEY: survey,
    }


def platform_labels() -> dict[str, str]:
    """Return the labels of objects that serve all nights (accounts, roles)."""
    return {
        "app.kubernetes.io/name": "stream2raw",
        "app.kubernetes.io/component": "access",
        "app.kubernetes.io/part-of": "fink",
        "app.kubernetes.io/managed-by": "airflow",
    }


def kubernetes_name(text: str, *, field: str) -> str:
    """Check that `text` is a DNS label (RFC 1123, at most 63 characters) and return it."""
    if not isinstance(text, str) or _DNS_LABEL.fullmatch(text) is None:
        raise InvalidRequest(
            f"{field} {shown(text)} is not a valid Kubernetes name; use lower-case letters, digits "
            "and '-', beginning and ending with a letter or digit"
        )
    if len(text) > _DNS_LABEL_MAX:
        raise InvalidRequest(
            f"{field} {shown(text)} has {len(text)} characters; use at most {_DNS_LABEL_MAX}"
        )
    return text


KubernetesName = Annotated[str, AfterValidator(lambda text: kubernetes_name(text, field="name"))]
"""The name of a namespace, an account or a Secret: a DNS label."""

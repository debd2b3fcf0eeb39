"""What the models of all forms have in common."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from fink_k8s.core.base.errors import InvalidRequest

PLATFORM: dict[str, JsonValue] = {"section": "Cluster, rights and image"}
"""The form folds these fields away under a title."""


class Request(BaseModel):
    """Refuse fields that are not known, so that a misspelt one is not ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked(rule: Callable[[str], str], value: str) -> str:
    """Return what `rule` makes of a value; its refusal becomes one that names the field."""
    try:
        return rule(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def moment_from(text: Any) -> datetime:
    """Return the moment that ISO 8601 text with a time zone means.

    Raises:
        InvalidRequest: it means none; the message leaves it to the caller to name the field.
    """
    rule = "give e.g. 2026-01-01T20:00:00+01:00"
    try:
        moment = datetime.fromisoformat(text)
        # The first and the last hours of the calendar have no time of UTC.
        moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest(f"is no moment; {rule}") from None
    if moment.tzinfo is None:
        raise InvalidRequest(f"has no time zone; {rule}")
    return moment


def refusal_of(error: ValidationError) -> str:
    """Return all broken rules in one line, each with its field."""
    parts = []
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in item["loc"]) or "request"
        parts.append(f"{field}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)

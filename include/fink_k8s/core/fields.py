"""What the models of all forms have in common."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from fink_k8s.core.errors import InvalidRequest

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


def refusal_of(error: ValidationError) -> str:
    """Return all broken rules in one line, each with its field."""
    parts = []
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in item["loc"]) or "request"
        parts.append(f"{field}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)

"""What the models of all forms have in common."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, JsonValue

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

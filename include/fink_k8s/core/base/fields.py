"""What the models of all forms have in common."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import CoreSchema, core_schema

from fink_k8s.core.base.errors import InvalidRequest

PLATFORM: dict[str, JsonValue] = {"section": "Cluster, rights and image"}
"""The form folds these fields away under a title."""


class Request(BaseModel):
    """Refuse fields that are not known, so that a misspelt one is not ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _EmptyAllowed:
    """Let an empty text pass every rule of a type, in the check and in the form."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[..., Any]) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda value, rules: value if value == "" else rules(value), handler(source)
        )

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[..., Any]) -> Any:
        schema = handler(core)
        if pattern := schema.get("pattern"):
            schema["pattern"] = f"^({pattern.removeprefix('^').removesuffix('$')})?$"
        return schema


Text = TypeVar("Text", bound=str)

OrEmpty = Annotated[Text, _EmptyAllowed()]
"""A field that may be left empty; otherwise the rules of its type apply: `OrEmpty[NightName]`."""


def checked_by(check: Callable[[str], object]) -> AfterValidator:
    """Return the validator that raises what `check` raises, and keeps the text as it is."""

    def keep(text: str) -> str:
        check(text)
        return text

    return AfterValidator(keep)


def moment_from(text: Any) -> datetime:
    """Return the moment that ISO 8601 text with a time zone means.

    Raises:
        InvalidRequest: the text is not valid; the caller adds the field's name.
    """
    rule = "enter a time like 2026-01-01T20:00:00+01:00"
    try:
        moment = datetime.fromisoformat(text)
        # The first and the last hours of the calendar have no time of UTC.
        moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRequest(f"is not a valid time; {rule}") from None
    if moment.tzinfo is None:
        raise InvalidRequest(f"has no time zone; {rule}")
    return moment


MomentText = Annotated[
    str, Field(pattern=r"^[0-9TZ:.+-]+$", max_length=40), checked_by(moment_from)
]
"""A moment as ISO 8601 text with its time zone."""


def refusal_of(error: ValidationError) -> str:
    """Return all broken rules in one line, each with its field."""
    parts = []
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in item["loc"]) or "request"
        parts.append(f"{field}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)

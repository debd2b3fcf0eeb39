"""The request for a stop: which streams, and how patiently."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.fields import Request
from fink_k8s.core.base.names import night_from
from fink_k8s.core.config.surveys import SurveyName, load_surveys
from fink_k8s.core.stream.stream_names import parse_stream_name

_HOW: dict[str, JsonValue] = {"section": "How"}

StreamName = Annotated[str, Field(max_length=63)]


class StopHow(StrEnum):
    """How to stop a stream."""

    GRACEFULLY = "gracefully"
    AT_ONCE = "at-once"


class StopManner(Request):
    """How patiently a stream is stopped."""

    how: StopHow = Field(
        StopHow.GRACEFULLY,
        title="How",
        description="`gracefully`: the batch in hand is written and committed first. `at-once`: "
        "the driver is killed; its batch is run again at the next start, nothing is lost.",
        json_schema_extra=_HOW,
    )
    limit_s: int = Field(
        120,
        title="Time limit (s)",
        description="How long a graceful end may take. After it the run fails and says what still "
        "lives, and when Kubernetes kills it, a minute later at the soonest.",
        ge=5,
        le=1200,
        json_schema_extra=_HOW,
    )
    then_at_once: bool = Field(
        False,
        title="Then at once",
        description="Have what has not ended gracefully killed at the time limit.",
        json_schema_extra=_HOW,
    )
    force_lost: bool = Field(
        False,
        title="Force what a lost node holds",
        description="Also strike out pods whose node gives no answer. Only when that node is "
        "switched off for good: else its driver may still write, beside the next one.",
        json_schema_extra=_HOW,
    )


class StreamChoice(Request):
    """The streams to stop: exactly one of streams, night and all_streams."""

    streams: list[StreamName] = Field(
        default_factory=list,
        title="Streams",
        description="Names, one a line, e.g. `stream2raw-ztf-20260101`.",
        max_length=100,
    )
    night: str = Field(
        "",
        title="Night",
        description="`YYYYMMDD`: the streams of this night.",
        pattern=r"^([0-9]{8})?$",
        max_length=8,
    )
    surveys: list[SurveyName] = Field(
        default_factory=list,
        title="Surveys",
        description="Of the night, only these surveys'; empty for every survey.",
        max_length=50,
    )
    all_streams: bool = Field(
        False,
        title="All streams",
        description="Every stream of the configured namespace.",
    )

    @field_validator("streams")
    @classmethod
    def _check_streams(cls, value: list[str]) -> list[str]:
        for name in value:
            try:
                _, night = parse_stream_name(name)
                night_from(night)
            except InvalidRequest as error:
                raise ValueError(str(error)) from None
        return sorted(set(value))

    @field_validator("night")
    @classmethod
    def _check_night(cls, value: str) -> str:
        try:
            return value and night_from(value)
        except InvalidRequest as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _check_which(self) -> Self:
        given = [name for name in ("streams", "night", "all_streams") if getattr(self, name)]
        if not given:
            raise ValueError(
                "no stream is chosen; enter streams, or night (and surveys), or set all_streams"
            )
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are set; set exactly one of them")
        if self.surveys and not self.night:
            raise ValueError("surveys is set without night; enter night as well")
        return self

    def chosen(self, there: list[str]) -> list[str]:
        """Return the chosen names, sorted, given the streams that are `there`.

        Streams requested by name are included even if they do not exist.
        """
        if self.streams:
            return self.streams
        if self.all_streams:
            return sorted(there)
        surveys = self.surveys or load_surveys().names
        parsed = {name: parse_stream_name(name) for name in there}
        return sorted(
            name
            for name, (survey, night) in parsed.items()
            if night == self.night and survey in surveys
        )


class StopRequest(StopManner, StreamChoice):
    """What `fink_stop` stops, and how."""

    dry_run: bool = Field(
        False,
        title="Only look",
        description="Say what would be stopped, and stop nothing.",
    )

    @property
    def manner(self) -> StopManner:
        """Return how the streams are stopped, without which."""
        fields = StopManner.model_fields
        return StopManner.model_validate({name: getattr(self, name) for name in fields})

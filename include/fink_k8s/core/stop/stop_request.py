"""The request for a stop: which streams, and how patiently."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from fink_k8s.core.base.fields import OrEmpty, Request
from fink_k8s.core.base.names import NightName
from fink_k8s.core.config.surveys import SurveyName, load_surveys
from fink_k8s.core.stream.stream_names import StreamName, parse_stream_name

_HOW: dict[str, JsonValue] = {"section": "How to stop"}

StreamNames = Annotated[list[StreamName], AfterValidator(lambda names: sorted(set(names)))]


class StopHow(StrEnum):
    """How to stop a stream."""

    GRACEFULLY = "gracefully"
    AT_ONCE = "at-once"


class StopManner(Request):
    """How patiently a stream is stopped, as operators and triggers take it."""

    how: StopHow = StopHow.GRACEFULLY
    limit_s: int = Field(120, ge=5, le=1200)
    """How long a graceful stop may take."""
    then_at_once: bool = False
    """Whether a driver that has not stopped by then is killed."""
    force_lost: bool = False
    """Whether pods on nodes that do not respond are removed too."""


class StreamChoice(Request):
    """The streams to stop: exactly one of streams, night and all_streams."""

    streams: StreamNames = Field(
        default_factory=list,
        title="Streams",
        description="Names of streams, one per line, e.g. `stream2raw-ztf-20260101`.",
        max_length=100,
    )
    night: OrEmpty[NightName] = Field(
        "",
        title="Night",
        description="`YYYYMMDD`. Stop the streams of this night.",
    )
    surveys: list[SurveyName] = Field(
        default_factory=list,
        title="Surveys",
        description="Stop only these surveys' streams of the night. Leave empty for every survey.",
        max_length=50,
    )
    all_streams: bool = Field(
        False,
        title="All streams",
        description="Stop every stream in the configured namespace.",
    )

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


class StopRequest(StreamChoice):
    """What `fink_stop` stops, and how."""

    how: StopHow = Field(
        StopHow.GRACEFULLY,
        title="How to stop",
        description="`gracefully` lets the current batch finish and commits it. `at-once` kills "
        "the driver; the next start repeats its batch, and nothing is lost.",
        json_schema_extra=_HOW,
    )
    limit_minutes: float = Field(
        2,
        title="Time limit (minutes)",
        description="How long a graceful stop may take. After that, the run fails; its log says "
        "what still runs, and when Kubernetes kills it (a minute later at the earliest).",
        ge=0.1,
        le=20,
        json_schema_extra=_HOW,
    )
    then_at_once: bool = Field(
        False,
        title="Kill at the time limit",
        description="Kill what has not stopped gracefully within the time limit.",
        json_schema_extra=_HOW,
    )
    force_lost: bool = Field(
        False,
        title="Remove pods on lost nodes",
        description="Also remove pods on nodes that do not respond. Use this only if the node is "
        "switched off for good: a driver that still runs there can write alongside the next one.",
        json_schema_extra=_HOW,
    )
    dry_run: bool = Field(
        False,
        title="Dry run",
        description="List the streams that would be stopped, and stop none.",
    )

    @property
    def manner(self) -> StopManner:
        """Return how the streams are stopped, without which."""
        return StopManner(
            how=self.how,
            limit_s=round(60 * self.limit_minutes),
            then_at_once=self.then_at_once,
            force_lost=self.force_lost,
        )

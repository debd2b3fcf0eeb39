"""What a person may ask of a stop: which streams, and how patiently."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from fink_k8s.core.base.fields import OrEmpty, Request
from fink_k8s.core.base.names import NightName
from fink_k8s.core.config.surveys import SurveyName, load_surveys
from fink_k8s.core.stream.stream_names import StreamName, parse_stream_name

_HOW: dict[str, JsonValue] = {"section": "How"}

StreamNames = Annotated[list[StreamName], AfterValidator(lambda names: sorted(set(names)))]


class StopHow(StrEnum):
    """How a stream is brought to its end."""

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
    """Which streams are meant: exactly one of streams, night and all_streams."""

    streams: StreamNames = Field(
        default_factory=list,
        title="Streams",
        description="Names, one a line, e.g. `stream2raw-ztf-20260101`.",
        max_length=100,
    )
    night: OrEmpty[NightName] = Field(
        "",
        title="Night",
        description="`YYYYMMDD`: the streams of this night.",
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

    @model_validator(mode="after")
    def _check_which(self) -> Self:
        given = [name for name in ("streams", "night", "all_streams") if getattr(self, name)]
        if not given:
            raise ValueError(
                "no stream is named; give streams, or night (and surveys), or set all_streams"
            )
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; give exactly one of them")
        if self.surveys and not self.night:
            raise ValueError("surveys chooses among the streams of a night; give night as well")
        return self

    def chosen(self, there: list[str]) -> list[str]:
        """Return the names that are meant, given the streams that are `there`; sorted.

        Streams that are asked for by name are among them also where there is nothing of them.
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

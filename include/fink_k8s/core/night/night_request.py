"""What a person may ask of a night: one night of one survey, from its beginning to its proof."""

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import Field, JsonValue, ValidationError

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.fields import PLATFORM, MomentText, OrEmpty, refusal_of
from fink_k8s.core.config.surveys import Survey
from fink_k8s.core.image.image_request import ImageChoice
from fink_k8s.core.stream.stream_request import IfDiffers, StreamRequest

_END: dict[str, JsonValue] = {"section": "End of the night"}
_TROUBLE: dict[str, JsonValue] = {"section": "If something goes wrong"}


class WhenKilled(StrEnum):
    """What killing the task by hand does to the stream."""

    LEAVE = "leave"
    STOP = "stop"


class NightRequest(ImageChoice, StreamRequest):
    """One night of one survey, and what is to be done with it."""

    ends_at: OrEmpty[MomentText] = Field(
        "",
        title="End time",
        description="Leave empty for the end of the survey's night. Otherwise, a time with its "
        "zone, e.g. `2026-01-01T20:00:00+01:00`.",
        json_schema_extra=_END,
    )
    quiet_minutes: float = Field(
        5,
        title="Quiet time before the stop (minutes)",
        description="After the night ends, the stream runs on until all alerts are stored and "
        "no new alert has arrived for this long.",
        ge=0,
        le=120,
        json_schema_extra=_END,
    )
    grace_minutes: float = Field(
        30,
        title="Longest wait without progress (minutes)",
        description="After the night ends, the stream is stopped if the lag has not decreased "
        "for this long. The report says how many alerts were not read.",
        ge=0,
        le=360,
        json_schema_extra=_END,
    )
    last_batch_minutes: float = Field(
        5,
        title="Time limit for the last batch (minutes)",
        description="How long the current batch may take to finish. After that, the driver is "
        "killed.",
        ge=0.1,
        le=20,
        json_schema_extra=_END,
    )
    if_differs: IfDiffers = Field(
        IfDiffers.REFUSE,
        title="If the stream runs with other settings",
        description="If the night's stream is already running with another image or other "
        "resources: `refuse` fails, `adopt` keeps it as it is, `upgrade` lets its "
        "batch finish and starts the new one from the same checkpoint.",
        json_schema_extra=_TROUBLE,
    )
    require_proof: bool = Field(
        True,
        title="Fail without proof",
        description="Fail the night if Airflow cannot read the store, and therefore cannot "
        "count the rows.",
        json_schema_extra=_END,
    )
    restarts: int = Field(
        3,
        title="Maximum restarts in a row",
        description="How often this DAG restarts a stream that the Spark Operator has given up "
        "on. After the stream has run for ten minutes, the count starts again at "
        "zero.",
        ge=0,
        le=20,
        json_schema_extra=_TROUBLE,
    )
    when_killed: WhenKilled = Field(
        WhenKilled.LEAVE,
        title="If the task is killed",
        description="What happens to the stream if someone kills, clears or marks the task that "
        "watches it: `leave` keeps it running, and the next try adopts it; `stop` "
        "stops it.",
        json_schema_extra=_TROUBLE,
    )
    in_minikube: bool = Field(
        False,
        title="Image in minikube",
        description="The image is in minikube's Docker engine and in no registry: `fink_image` "
        "built it there with `build-in-minikube`.",
        json_schema_extra=PLATFORM,
    )

    @property
    def is_in_minikube(self) -> bool:
        """Tell whether the image is in minikube's Docker, and in no registry."""
        return self.in_minikube

    @property
    def waits_for_topic(self) -> bool:
        """Tell whether a missing topic is acceptable: it is created with its first alert."""
        return True

    def end(self, otherwise: datetime) -> datetime:
        """Return when the night ends (UTC): as requested, or at `otherwise`."""
        moment = datetime.fromisoformat(self.ends_at) if self.ends_at else otherwise
        return moment.astimezone(UTC)


_OF_ONE_NIGHT = {
    "night": "each run has its own",
    "topic": "set the survey's `topic` instead",
    "ends_at": "set the survey's `night` instead",
    "survey": "each survey has its own form",
}
"""Fields of a night that no survey's form can set, and the reason."""


def night_form_from(survey: Survey) -> dict[str, JsonValue]:
    """Return the fields that a survey's `form` fills in, e.g. `{"executors": 4}`; checked.

    Raises:
        InvalidRequest: a field is unknown, is not for a survey's form, or breaks its rule; the
            message names it.
    """
    where = f"surveys.yaml: survey {survey.name}: form:"
    for name in survey.form:
        if name in _OF_ONE_NIGHT:
            raise InvalidRequest(f"{where} {name} is not allowed; {_OF_ONE_NIGHT[name]}")
    try:
        request = NightRequest.model_validate({**survey.form, "survey": survey.name})
    except ValidationError as error:
        raise InvalidRequest(f"{where} {refusal_of(error)}") from None
    # As the form expects them: `"4"` becomes 4.
    return request.model_dump(mode="json", include=set(survey.form))

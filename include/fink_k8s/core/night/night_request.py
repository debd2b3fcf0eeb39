"""What a person may ask of a night: one night of one survey, from its beginning to its proof."""

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import Field, JsonValue, ValidationError, field_validator

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.fields import PLATFORM, moment_from, refusal_of
from fink_k8s.core.config.surveys import Survey
from fink_k8s.core.image.image_request import ImageChoice
from fink_k8s.core.stream.stream_request import IfDiffers, StreamRequest

_END: dict[str, JsonValue] = {"section": "How the night ends"}
_TROUBLE: dict[str, JsonValue] = {"section": "When something happens"}


class WhenKilled(StrEnum):
    """What killing the task by hand does to the stream."""

    LEAVE = "leave"
    STOP = "stop"


class NightRequest(ImageChoice, StreamRequest):
    """One night of one survey, and what is to be done with it."""

    ends_at: str = Field(
        "",
        title="Ends at",
        description="Empty for the end of the survey's night. Else a moment with its zone, e.g. "
        "`2026-01-01T20:00:00+01:00`.",
        pattern=r"^[0-9TZ:.+-]*$",
        max_length=40,
        json_schema_extra=_END,
    )
    drain_quiet_s: int = Field(
        300,
        title="Quiet before the stop (s)",
        description="After its end the night goes on until all alerts are stored, and none came "
        "for so long.",
        ge=0,
        le=7200,
        json_schema_extra=_END,
    )
    drain_grace_s: int = Field(
        1800,
        title="Time of grace (s)",
        description="How long the lag may go without falling: then it is stopped in any case, and "
        "what is unread is told.",
        ge=0,
        le=21_600,
        json_schema_extra=_END,
    )
    stop_limit_s: int = Field(
        300,
        title="Time for the last batch (s)",
        description="How long the batch in hand may take to end.",
        ge=5,
        le=1200,
        json_schema_extra=_END,
    )
    if_differs: IfDiffers = Field(
        IfDiffers.REFUSE,
        title="If it runs otherwise",
        description="Where the night's stream runs already, with another image or other "
        "resources: `refuse`; `adopt` it as it is; `upgrade`: let its batch end, and start this "
        "one on the same checkpoint.",
        json_schema_extra=_TROUBLE,
    )
    require_proof: bool = Field(
        True,
        title="Fail unproved",
        description="Whether a night fails whose rows nobody here can count: the store is out of "
        "Airflow's sight.",
        json_schema_extra=_END,
    )
    restarts: int = Field(
        3,
        title="Restarts in a row",
        description="How often a stream is started anew for which the Spark Operator has given "
        "up. One that ran for ten minutes has its whole budget again.",
        ge=0,
        le=20,
        json_schema_extra=_TROUBLE,
    )
    when_killed: WhenKilled = Field(
        WhenKilled.LEAVE,
        title="If the task is killed",
        description="What becomes of the stream where somebody kills, clears or marks the task "
        "that watches: `leave` it, so that the next try adopts it, or `stop` it.",
        json_schema_extra=_TROUBLE,
    )
    in_minikube: bool = Field(
        False,
        title="Image in minikube",
        description="The image is in minikube's Docker and in no registry: `fink_image` built it "
        "there with `build-in-minikube`.",
        json_schema_extra=PLATFORM,
    )

    @field_validator("ends_at")
    @classmethod
    def _check_moment(cls, value: str) -> str:
        if value:
            moment_from(value)
        return value

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

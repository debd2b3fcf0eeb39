"""The requests of the trigger forms: one pydantic field per parameter.

The trigger form, the check at run time and the documentation are all generated from these models.
Identities (image repository, account, secrets) are settings, not parameters.
"""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fink_k8s.core.base.fields import PLATFORM, Request, checked
from fink_k8s.core.base.names import night_from
from fink_k8s.core.config.sources import image_path_from
from fink_k8s.core.config.surveys import SurveyName, default_survey, survey_of
from fink_k8s.core.image.image_request import ImageAction, ImageRequest
from fink_k8s.core.kafka.topics import topic_from
from fink_k8s.core.stream.stream_names import parse_stream_name, stream_name

_CLAIM_SIZE = re.compile(r"[1-9][0-9]{0,5}[MGT]i")
_MEMORY = re.compile(r"[1-9][0-9]{0,5}[mg]")

Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[mg]$", max_length=7)]


# The form folds these away under their own titles.
_SIZE: dict[str, JsonValue] = {"section": "Size of the stream"}
_PROGRAM: dict[str, JsonValue] = {"section": "The program's schema and logs"}


class DeployStage(StrEnum):
    """The stages of a bring-up that can be skipped."""

    PREFLIGHT = "preflight"
    RBAC = "rbac"
    STORE = "store"
    IMAGE = "image"
    HEALTHY = "healthy"
    FIRST_BATCH = "first_batch"


class RbacMode(StrEnum):
    """The rights of the driver."""

    LEAST_PRIVILEGE = "least-privilege"
    CLUSTER_EDIT = "cluster-edit"


class SubmitWith(StrEnum):
    """Who starts the driver."""

    SPARK_OPERATOR = "spark-operator"
    SPARK_SUBMIT = "spark-submit"


class IfDiffers(StrEnum):
    """What to do if the night's stream is already running with another image or other resources."""

    REFUSE = "refuse"
    ADOPT = "adopt"
    UPGRADE = "upgrade"


class StartingOffsets(StrEnum):
    """Where a night without a checkpoint starts to read."""

    EARLIEST = "earliest"
    LATEST = "latest"


class LogLevel(StrEnum):
    """How much a program logs; Python's logging and Spark's support all of these."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class RbacRequest(Request):
    """The rights that `fink_rbac` grants."""

    rbac_mode: RbacMode = Field(
        RbacMode.LEAST_PRIVILEGE,
        title="Rights of the driver",
        description="`least-privilege`: a Role in the streams' namespace. `cluster-edit`: the "
        "ClusterRole `edit` in every namespace, secrets included, as Fink's document has it.",
        json_schema_extra=PLATFORM,
    )


class StreamRequest(Request):
    """One night of one survey, and how it is ingested."""

    survey: SurveyName = Field(
        default_factory=default_survey, title="Survey", description="Survey to read alerts from."
    )
    night: str = Field(
        "",
        title="Night",
        description="`YYYYMMDD`; empty for the night of the run's own time, in the survey's time "
        "zone.",
        pattern=r"^([0-9]{8})?$",
        max_length=8,
    )
    topic: str = Field(
        "",
        title="Kafka topic",
        description="One topic, no pattern; empty for the survey's, e.g. `ztf_public_20260101`.",
        pattern=r"^[a-zA-Z0-9._-]*$",
        max_length=249,
    )
    starting_offsets: StartingOffsets = Field(
        StartingOffsets.EARLIEST,
        title="Starting offsets",
        description="For a night without checkpoint; otherwise the checkpoint decides.",
    )
    trigger_interval_s: int = Field(
        10, title="Trigger interval (s)", description="Seconds between two batches.", ge=1, le=3600
    )
    max_offsets_per_trigger: int = Field(
        5000, title="Alerts a batch", description="At most so many a batch.", ge=1, le=1_000_000
    )
    exit_after_s: int = Field(
        172_800,
        title="Ends after (s)",
        description="The stream stops by itself after so many seconds, at the end of a batch, "
        "whatever becomes of Airflow.",
        ge=60,
        le=172_800,
    )
    executors: int = Field(
        1, title="Executors", description="Executor pods.", ge=1, le=100, json_schema_extra=_SIZE
    )
    driver_memory: Memory = Field(
        "1g", title="Driver memory", description="e.g. `900m` or `2g`.", json_schema_extra=_SIZE
    )
    executor_memory: Memory = Field(
        "1g", title="Executor memory", description="e.g. `900m` or `2g`.", json_schema_extra=_SIZE
    )
    executor_cores: int = Field(
        1,
        title="Executor cores",
        description="Tasks that an executor runs at once.",
        ge=1,
        le=64,
        json_schema_extra=_SIZE,
    )
    schema_file: str = Field(
        "",
        title="Schema of the alerts",
        description="`-schema` of the program: an Avro schema's path in Fink's own code, or its "
        "absolute path in the image. Empty for this project's job, which has that of ztf. Fink's "
        "own code needs one.",
        pattern=r"^(/?[A-Za-z0-9_./+-]+\.(avsc|avro))?$",
        max_length=200,
        json_schema_extra=_PROGRAM,
    )
    log_level: LogLevel = Field(
        LogLevel.INFO,
        title="Log of the program",
        description="How much the program itself says.",
        json_schema_extra=_PROGRAM,
    )
    spark_log_level: LogLevel = Field(
        LogLevel.WARN,
        title="Log of Spark",
        description="How much Spark itself says.",
        json_schema_extra=_PROGRAM,
    )
    submit_with: SubmitWith = Field(
        SubmitWith.SPARK_OPERATOR,
        title="Submit with",
        description="`spark-operator` starts a dead driver again. `spark-submit`, as Fink's "
        "document does it, needs no operator in the cluster, but Java on the worker; a driver that "
        "dies is started again by fink_night alone.",
        json_schema_extra=PLATFORM,
    )

    @field_validator("night")
    @classmethod
    def _check_night(cls, value: str) -> str:
        return value if value == "" else checked(night_from, value)

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, value: str) -> str:
        return value if value == "" else checked(topic_from, value)

    @field_validator("schema_file")
    @classmethod
    def _check_schema_file(cls, value: str) -> str:
        return value if value == "" else checked(image_path_from, value)

    @field_validator("driver_memory", "executor_memory")
    @classmethod
    def _check_memory(cls, value: str) -> str:
        # `pattern` alone would let a last newline pass in some engines.
        if _MEMORY.fullmatch(value) is None:
            raise ValueError("is no memory size of Spark; give a number with m or g, e.g. 2g")
        return value

    def filled_in(self, night: str) -> Self:
        """Return the request with an empty night, and the survey's topic of it, filled in."""
        night = self.night or night
        topic = self.topic or survey_of(self.survey).topic_of(night)
        return self.model_validate({**self.model_dump(), "night": night, "topic": topic})

    @property
    def stream(self) -> str:
        """Return the name of the application: the lock of the night."""
        return stream_name(self.survey, self.night)

    @property
    def waits_for_topic(self) -> bool:
        """Tell whether a missing topic is acceptable."""
        return False

    @property
    def makes_namespace(self) -> bool:
        """Tell whether the run creates the streams' namespace if it is missing."""
        return False

    @property
    def new_claim_size(self) -> str | None:
        """Return the size of the claim that the run creates for the store, or None."""
        return None


class StoreRequest(Request):
    """Whether to create the store's claim, and its size."""

    create_claim: bool = Field(
        False,
        title="Make the claim",
        description="Where FINK_STORE_PREFIX is `pvc://CLAIM`: make that persistent volume claim "
        "unless it is there. It is never changed or deleted.",
        json_schema_extra=PLATFORM,
    )
    claim_size: str = Field(
        "100Gi",
        title="Size of the claim",
        description="Of a claim that is made, e.g. `100Gi` or `2Ti`.",
        pattern=r"^[1-9][0-9]{0,5}[MGT]i$",
        max_length=8,
        json_schema_extra=PLATFORM,
    )

    @field_validator("claim_size")
    @classmethod
    def _check_size(cls, value: str) -> str:
        if _CLAIM_SIZE.fullmatch(value) is None:
            raise ValueError("is no size of a claim; give a number with Mi, Gi or Ti, e.g. 100Gi")
        return value


class DiagnoseRequest(Request):
    """The stream for `fink_diagnose`; if none is named, every unhealthy stream."""

    stream: str = Field(
        "",
        title="Stream",
        description="Its name, e.g. `stream2raw-ztf-20260101`; or give survey and night.",
        pattern=r"^[a-z0-9-]*$",
        max_length=63,
    )
    survey: SurveyName = Field(
        default_factory=default_survey, title="Survey", description="Survey to read alerts from."
    )
    night: str = Field(
        "",
        title="Night",
        description="YYYYMMDD; with no stream and no night, all streams that are not well.",
        pattern=r"^([0-9]{8})?$",
        max_length=8,
    )

    @field_validator("stream")
    @classmethod
    def _check_stream(cls, value: str) -> str:
        if value:
            checked(lambda text: night_from(parse_stream_name(text)[1]), value)
        return value

    @field_validator("night")
    @classmethod
    def _check_night(cls, value: str) -> str:
        return value if value == "" else checked(night_from, value)

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.stream and self.night and self.stream != stream_name(self.survey, self.night):
            raise ValueError(
                f"stream {self.stream} is not that of survey {self.survey} and night {self.night}; "
                "give one of the two"
            )
        return self

    @property
    def asked_stream(self) -> str:
        """Return the name of the requested stream; empty for all."""
        return self.stream or (stream_name(self.survey, self.night) if self.night else "")


class DeployRequest(ImageRequest, RbacRequest, StoreRequest, StreamRequest):
    """The whole bring-up."""

    skip: list[DeployStage] = Field(
        default_factory=list,
        title="Stages to skip",
        description="What is there already: rights that someone else granted, an image, ...",
        max_length=len(DeployStage),
        json_schema_extra=PLATFORM,
    )

    @property
    def builds_image(self) -> bool:
        """Tell whether the stage `image` runs."""
        return DeployStage.IMAGE not in self.skip

    @property
    def makes_namespace(self) -> bool:
        """Tell whether the run creates the streams' namespace if it is missing."""
        return DeployStage.RBAC not in self.skip

    @property
    def new_claim_size(self) -> str | None:
        """Return the size of the claim that the run creates for the store, or None."""
        return self.claim_size if self.create_claim else None

    @model_validator(mode="after")
    def _check_runnable(self) -> Self:
        if self.image_action is ImageAction.BUILD and self.builds_image:
            raise ValueError(
                "image_action build leaves nothing that the cluster can pull; choose another, or "
                "trigger fink_image"
            )
        runs_own_job = self.builds_image and not (self.fink_source or self.dockerfile)
        if runs_own_job and (refusal := survey_of(self.survey).refusal):
            raise ValueError(refusal)
        if self.fink_source and self.builds_image and not self.schema_file:
            raise ValueError(
                "schema_file is empty, and Fink's own code needs one; give the path of the Avro "
                "schema of the alerts, in its code or in the image"
            )
        return self

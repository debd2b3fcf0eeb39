"""The requests of the trigger forms: one pydantic field per parameter.

The trigger form, the check at run time and the documentation are all generated from these models.
Identities (image repository, account, secrets) are settings, not parameters.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from fink_k8s.core.base.fields import PLATFORM, OrEmpty, Request
from fink_k8s.core.base.names import NightName
from fink_k8s.core.config.sources import SchemaPath
from fink_k8s.core.config.surveys import SurveyName, default_survey, survey_of
from fink_k8s.core.image.image_request import ImageAction, ImageRequest
from fink_k8s.core.kafka.topics import TopicName
from fink_k8s.core.stream.stream_names import StreamName, stream_name

Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[mg]$", max_length=7)]
"""A memory size as Spark reads it, e.g. `2g`."""
ClaimSize = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[MGT]i$", max_length=8)]
"""A quantity of storage as Kubernetes reads it, e.g. `100Gi`."""

# The form folds these away under their own titles.
_SIZE: dict[str, JsonValue] = {"section": "Size of the stream"}
_PROGRAM: dict[str, JsonValue] = {"section": "Alert schema and logs"}


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
        title="Driver rights",
        description="`least-privilege`: a Role in the namespace of the streams. `cluster-edit`: "
        "the ClusterRole `edit` in every namespace, which includes access to "
        "Secrets, as in Fink's documentation.",
        json_schema_extra=PLATFORM,
    )


class StreamRequest(Request):
    """One night of one survey, and how it is ingested."""

    survey: SurveyName = Field(
        default_factory=default_survey, title="Survey", description="Survey to read alerts from."
    )
    night: OrEmpty[NightName] = Field(
        "",
        title="Night",
        description="`YYYYMMDD`. Leave empty for the night at the time of the run, in the "
        "survey's time zone.",
    )
    topic: OrEmpty[TopicName] = Field(
        "",
        title="Kafka topic",
        description="Name of one topic, not a pattern. Leave empty for the survey's topic, e.g. "
        "`ztf_public_20260101`.",
    )
    starting_offsets: StartingOffsets = Field(
        StartingOffsets.EARLIEST,
        title="Starting offsets",
        description="Where to start reading a night that has no checkpoint. A night that has "
        "one continues from it.",
    )
    trigger_interval_s: int = Field(
        10,
        title="Trigger interval (seconds)",
        description="Time between two batches.",
        ge=1,
        le=3600,
    )
    max_offsets_per_trigger: int = Field(
        5000,
        title="Maximum alerts per batch",
        description="One batch reads no more alerts than this.",
        ge=1,
        le=1_000_000,
    )
    stop_after_hours: float = Field(
        48,
        title="Stop after (hours)",
        description="The stream stops by itself after this time, at the end of a batch, even if "
        "Airflow is down.",
        ge=0.02,
        le=48,
    )
    executors: int = Field(
        1,
        title="Executors",
        description="Number of executor pods.",
        ge=1,
        le=100,
        json_schema_extra=_SIZE,
    )
    driver_memory: Memory = Field(
        "1g",
        title="Driver memory",
        description="For example `900m` or `2g`.",
        json_schema_extra=_SIZE,
    )
    executor_memory: Memory = Field(
        "1g",
        title="Executor memory",
        description="For example `900m` or `2g`.",
        json_schema_extra=_SIZE,
    )
    executor_cores: int = Field(
        1,
        title="Executor cores",
        description="Number of tasks that one executor runs at the same time.",
        ge=1,
        le=64,
        json_schema_extra=_SIZE,
    )
    schema_file: OrEmpty[SchemaPath] = Field(
        "",
        title="Alert schema",
        description="Avro schema (`-schema` of the program): its path in Fink's code, or its "
        "absolute path in the image. Fink's code requires one. Leave empty for this "
        "project's job, which includes the survey's schema.",
        json_schema_extra=_PROGRAM,
    )
    log_level: LogLevel = Field(
        LogLevel.INFO,
        title="Program log level",
        description="Least severe messages that the program logs.",
        json_schema_extra=_PROGRAM,
    )
    spark_log_level: LogLevel = Field(
        LogLevel.WARN,
        title="Spark log level",
        description="Least severe messages that Spark logs.",
        json_schema_extra=_PROGRAM,
    )
    submit_with: SubmitWith = Field(
        SubmitWith.SPARK_OPERATOR,
        title="Submit with",
        description="`spark-operator` restarts a failed driver. `spark-submit`, as in Fink's "
        "documentation, needs no operator in the cluster but needs Java on the "
        "worker; only the night DAG restarts its failed drivers.",
        json_schema_extra=PLATFORM,
    )

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
        title="Create the claim",
        description="If FINK_STORE_PREFIX is `pvc://CLAIM`, create this persistent volume claim "
        "unless it exists. An existing claim is never changed or deleted.",
        json_schema_extra=PLATFORM,
    )
    claim_size: ClaimSize = Field(
        "100Gi",
        title="Claim size",
        description="Size of a claim that this run creates, e.g. `100Gi` or `2Ti`.",
        json_schema_extra=PLATFORM,
    )


class DiagnoseRequest(Request):
    """The stream for `fink_diagnose`; if none is named, every unhealthy stream."""

    stream: OrEmpty[StreamName] = Field(
        "",
        title="Stream",
        description="Name of the stream, e.g. `stream2raw-ztf-20260101`. Alternatively, enter "
        "survey and night.",
    )
    survey: SurveyName = Field(
        default_factory=default_survey,
        title="Survey",
        description="Survey of the stream, if you enter a night.",
    )
    night: OrEmpty[NightName] = Field(
        "",
        title="Night",
        description="`YYYYMMDD`. Leave stream and night empty to diagnose every unhealthy stream.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.stream and self.night and self.stream != stream_name(self.survey, self.night):
            raise ValueError(
                f"stream {self.stream} is not that of survey {self.survey} and night {self.night}; "
                "enter either the stream, or survey and night"
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
        description="Stages for what is already in place, e.g. an existing image, or rights "
        "that someone else granted.",
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
                "image_action build pushes nothing that the cluster can pull; choose another "
                "action, or trigger fink_image"
            )
        runs_own_job = self.builds_image and not (self.fink_source or self.dockerfile)
        if runs_own_job and (refusal := survey_of(self.survey).refusal):
            raise ValueError(refusal)
        if self.fink_source and self.builds_image and not self.schema_file:
            raise ValueError(
                "schema_file is empty, but Fink's code requires it; enter the path of the Avro "
                "schema of the alerts, in the code or in the image"
            )
        return self

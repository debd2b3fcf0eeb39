"""What a person may ask for: one pydantic field a parameter.

The trigger form, the check at run time and the documentation all come from these models.
Identities (image repository, account, secrets) are not here: they are settings.
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
_PROGRAM: dict[str, JsonValue] = {"section": "The program's schema and logs"}


class DeployStage(StrEnum):
    """The stages of a bring-up, each of which can be skipped."""

    PREFLIGHT = "preflight"
    RBAC = "rbac"
    STORE = "store"
    IMAGE = "image"
    HEALTHY = "healthy"
    FIRST_BATCH = "first_batch"


class RbacMode(StrEnum):
    """How much the driver may do."""

    LEAST_PRIVILEGE = "least-privilege"
    CLUSTER_EDIT = "cluster-edit"


class SubmitWith(StrEnum):
    """Who starts the driver."""

    SPARK_OPERATOR = "spark-operator"
    SPARK_SUBMIT = "spark-submit"


class IfDiffers(StrEnum):
    """What is done where the night's stream runs already, with another image or other resources."""

    REFUSE = "refuse"
    ADOPT = "adopt"
    UPGRADE = "upgrade"


class StartingOffsets(StrEnum):
    """Where a night that has no checkpoint yet begins to read."""

    EARLIEST = "earliest"
    LATEST = "latest"


class LogLevel(StrEnum):
    """How much a program says; Python's logging and Spark's know all of these."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class RbacRequest(Request):
    """What `fink_rbac` grants."""

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
    night: OrEmpty[NightName] = Field(
        "",
        title="Night",
        description="`YYYYMMDD`; empty for the night of the run's own time, in the survey's time "
        "zone.",
    )
    topic: OrEmpty[TopicName] = Field(
        "",
        title="Kafka topic",
        description="One topic, no pattern; empty for the survey's, e.g. `ztf_public_20260101`.",
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
    schema_file: OrEmpty[SchemaPath] = Field(
        "",
        title="Schema of the alerts",
        description="`-schema` of the program: an Avro schema's path in Fink's own code, or its "
        "absolute path in the image. Empty for this project's job, which has that of ztf. Fink's "
        "own code needs one.",
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
        """Tell whether a topic that is not there yet is no fault."""
        return False

    @property
    def makes_namespace(self) -> bool:
        """Tell whether the run makes the streams' namespace where there is none."""
        return False

    @property
    def new_claim_size(self) -> str | None:
        """Return the size of the claim that the run makes for the store; None: it makes none."""
        return None


class StoreRequest(Request):
    """Whether the store's claim is made, and how large."""

    create_claim: bool = Field(
        False,
        title="Make the claim",
        description="Where FINK_STORE_PREFIX is `pvc://CLAIM`: make that persistent volume claim "
        "unless it is there. It is never changed or deleted.",
        json_schema_extra=PLATFORM,
    )
    claim_size: ClaimSize = Field(
        "100Gi",
        title="Size of the claim",
        description="Of a claim that is made, e.g. `100Gi` or `2Ti`.",
        json_schema_extra=PLATFORM,
    )


class DiagnoseRequest(Request):
    """Which stream `fink_diagnose` looks at; none named means each one that is not well."""

    stream: OrEmpty[StreamName] = Field(
        "",
        title="Stream",
        description="Its name, e.g. `stream2raw-ztf-20260101`; or give survey and night.",
    )
    survey: SurveyName = Field(
        default_factory=default_survey, title="Survey", description="Survey to read alerts from."
    )
    night: OrEmpty[NightName] = Field(
        "",
        title="Night",
        description="YYYYMMDD; with no stream and no night, all streams that are not well.",
    )

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
        """Return the name of the one stream that is asked for; empty for all."""
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
        """Tell whether the run makes the streams' namespace where there is none."""
        return DeployStage.RBAC not in self.skip

    @property
    def new_claim_size(self) -> str | None:
        """Return the size of the claim that the run makes for the store; None: it makes none."""
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

"""What a person may ask for: one pydantic field a parameter.

The trigger form, the check at run time and the documentation all come from these models.
Identities (image repository, account, secrets) are not here: they are settings.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from fink_k8s.core.errors import InvalidRequest
from fink_k8s.core.names import (
    Survey,
    default_topic,
    night_from,
    parse_stream_name,
    stream_name,
    topic_from,
)
from fink_k8s.core.settings import is_image_tag
from fink_k8s.core.sources import is_git_address, relative_path_from, revision_from, source_from

_CLAIM_SIZE = re.compile(r"[1-9][0-9]{0,5}[MGT]i")
_MEMORY = re.compile(r"[1-9][0-9]{0,5}[mg]")

Coordinates = Annotated[
    str, Field(pattern=r"^[a-zA-Z0-9_.-]+:[a-zA-Z0-9_.-]+:[a-zA-Z0-9_.-]+$", max_length=200)
]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[mg]$", max_length=7)]


# The form folds these away under their own titles.
_SIZE: dict[str, JsonValue] = {"section": "Size of the stream"}
_PLATFORM: dict[str, JsonValue] = {"section": "Cluster, rights and image"}
_CONTENT: dict[str, JsonValue] = {"section": "What the image is made of"}


class Stage(StrEnum):
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


class StartingOffsets(StrEnum):
    """Where a night that has no checkpoint yet begins to read."""

    EARLIEST = "earliest"
    LATEST = "latest"


class ImageAction(StrEnum):
    """What is done with the image, and in which Docker engine."""

    BUILD_AND_PUSH = "build-and-push"
    BUILD = "build"
    PUSH = "push"
    MINIKUBE = "build-in-minikube"


class Requirements(StrEnum):
    """Which of Fink's own requirements go into an image with Fink's code."""

    NONE = "none"
    NOSCIENCE = "noscience"
    SCIENCE = "science"


class Request(BaseModel):
    """Refuse fields that are not known, so that a misspelt one is not ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RbacRequest(Request):
    """What `fink_rbac` grants."""

    rbac_mode: RbacMode = Field(
        RbacMode.LEAST_PRIVILEGE,
        title="Rights of the driver",
        description="`least-privilege`: a Role in the streams' namespace. `cluster-edit`: the "
        "ClusterRole `edit` in every namespace, secrets included, as Fink's document has it.",
        json_schema_extra=_PLATFORM,
    )


class StreamRequest(Request):
    """One night of one survey, and how it is ingested."""

    survey: Survey = Field(Survey.ZTF, title="Survey", description="Whose alerts.")
    night: str = Field(
        "",
        title="Night",
        description="`YYYYMMDD`; empty for the date of the run (UTC).",
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
        64800,
        title="Ends after (s)",
        description="The stream stops by itself after so many seconds, at the end of a batch.",
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
    submit_with: SubmitWith = Field(
        SubmitWith.SPARK_OPERATOR,
        title="Submit with",
        description="`spark-operator` starts a dead driver again. `spark-submit`, as Fink's "
        "document does it, needs no operator in the cluster, but Java on the worker; a driver that "
        "dies stays dead until it is triggered again.",
        json_schema_extra=_PLATFORM,
    )

    @field_validator("night")
    @classmethod
    def _check_night(cls, value: str) -> str:
        return value if value == "" else _checked(night_from, value)

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, value: str) -> str:
        return value if value == "" else _checked(topic_from, value)

    @field_validator("driver_memory", "executor_memory")
    @classmethod
    def _check_memory(cls, value: str) -> str:
        # `pattern` alone would let a last newline pass in some engines.
        if _MEMORY.fullmatch(value) is None:
            raise ValueError("is no memory size of Spark; give a number with m or g, e.g. 2g")
        return value

    def filled_in(self, night: str) -> Self:
        """Return the request with an empty night and an empty topic filled in."""
        night = self.night or night
        topic = self.topic or default_topic(self.survey, night)
        return self.model_validate({**self.model_dump(), "night": night, "topic": topic})

    @property
    def stream(self) -> str:
        """Return the name of the application: the lock of the night."""
        return stream_name(self.survey, self.night)


class ImageRequest(Request):
    """What `fink_image` builds."""

    release: str = Field(
        "",
        title="Release",
        description="`<fink>_<spark>` of releases.yaml; empty for the current one.",
        pattern=r"^([0-9]+(\.[0-9]+)*_[0-9]+(\.[0-9]+)*)?$",
        max_length=40,
        json_schema_extra=_PLATFORM,
    )
    image_tag: str = Field(
        "",
        title="Image tag",
        description="Empty for the release's, `<fink>_<spark>`. Where the stage `image` is "
        "skipped, this tag, or `sha256:...`, is what runs.",
        pattern=r"^[A-Za-z0-9_:.-]*$",
        max_length=128,
        json_schema_extra=_PLATFORM,
    )
    image_action: ImageAction = Field(
        ImageAction.BUILD_AND_PUSH,
        title="Build, push",
        description="`build` and `push` are the two halves, for two runs of fink_image. "
        "`build-in-minikube`: in the Docker that `minikube docker-env` names; nothing is pushed, "
        "and the stream runs the image by its tag.",
        json_schema_extra=_PLATFORM,
    )
    fink_source: str = Field(
        "",
        title="Fink's own code",
        description="Empty for this project's job. Else a git address, or a folder or tarball, "
        "that FINK_SOURCES allows; e.g. `https://github.com/astrolabsoftware/fink-broker`.",
        pattern=r"^[A-Za-z0-9@:/._+-]*$",
        max_length=300,
        json_schema_extra=_CONTENT,
    )
    fink_revision: str = Field(
        "",
        title="Revision",
        description="Of a git address: branch, tag or commit.",
        pattern=r"^[A-Za-z0-9_./+-]*$",
        max_length=200,
        json_schema_extra=_CONTENT,
    )
    fink_requirements: Requirements = Field(
        Requirements.NOSCIENCE,
        title="Fink's requirements",
        description="Which Python packages of Fink's own requirements go with its code: "
        "`noscience`: requirements.txt; `science`: requirements-science*.txt too.",
        json_schema_extra=_CONTENT,
    )
    fink_requirements_folder: str = Field(
        "deps",
        title="Folder of the requirements",
        description="In Fink's code; e.g. `deps/ztf` in that of today.",
        pattern=r"^[A-Za-z0-9_./+-]+$",
        max_length=200,
        json_schema_extra=_CONTENT,
    )
    main_file: str = Field(
        "",
        title="Program",
        description="With Fink's own code: its path there, empty for `bin/stream2raw.py`. With "
        "an image made elsewhere or a Dockerfile of your own: its absolute path in the image.",
        pattern=r"^(/?[A-Za-z0-9_./+-]+\.py)?$",
        max_length=200,
        json_schema_extra=_CONTENT,
    )
    dockerfile: str = Field(
        "",
        title="Dockerfile of your own",
        description="Name of a folder below FINK_DOCKERFILES; its Dockerfile makes the last "
        "stage, from `${SPARK_IMAGE}`.",
        pattern=r"^[A-Za-z0-9_./+-]*$",
        max_length=100,
        json_schema_extra=_CONTENT,
    )
    extra_jars: list[Coordinates] = Field(
        default_factory=list,
        title="Extra jars",
        description="`group:artifact:version` of jars that FINK_EXTRA_JARS pins.",
        max_length=50,
        json_schema_extra=_CONTENT,
    )

    @property
    def builds_image(self) -> bool:
        """Tell whether the stage `image` runs."""
        return True

    @field_validator("image_tag")
    @classmethod
    def _check_tag(cls, value: str) -> str:
        if value and not value.startswith("sha256:") and not is_image_tag(value):
            raise ValueError("is no image tag; give e.g. 4.0_3.5.7 or sha256:<64 hex digits>")
        if value.startswith("sha256:") and not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
            raise ValueError("is no digest; give sha256: and 64 hex digits")
        return value

    @field_validator("fink_source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        return value if value == "" else _checked(source_from, value)

    @field_validator("fink_revision")
    @classmethod
    def _check_revision(cls, value: str) -> str:
        return value if value == "" else _checked(revision_from, value)

    @field_validator("fink_requirements_folder", "dockerfile")
    @classmethod
    def _check_path(cls, value: str) -> str:
        return value if value == "" else _checked(relative_path_from, value)

    @field_validator("main_file")
    @classmethod
    def _check_main_file(cls, value: str) -> str:
        if value:
            _checked(relative_path_from, value.removeprefix("/"))
        return value

    @model_validator(mode="after")
    def _check_image(self) -> Self:
        if self.image_tag.startswith("sha256:") and self.builds_image:
            raise ValueError("image_tag is a digest; give a tag, or skip the stage image")
        is_git = is_git_address(self.fink_source)
        if is_git and not self.fink_revision:
            raise ValueError("fink_revision is empty; give the branch, tag or commit to build")
        if self.fink_revision and not is_git:
            raise ValueError(
                "fink_revision is given, but fink_source is no git address; leave one out"
            )
        if self.main_file.startswith("/"):
            if self.builds_image and not self.dockerfile:
                raise ValueError("main_file is absolute; give its path in Fink's code")
        elif self.main_file and not self.fink_source:
            raise ValueError("main_file is relative; give fink_source as well, or its whole path")
        return self


class StoreRequest(Request):
    """Whether the store's claim is made, and how large."""

    create_claim: bool = Field(
        False,
        title="Make the claim",
        description="Where FINK_STORE_PREFIX is `pvc://CLAIM`: make that persistent volume claim "
        "unless it is there. It is never changed or deleted.",
        json_schema_extra=_PLATFORM,
    )
    claim_size: str = Field(
        "100Gi",
        title="Size of the claim",
        description="Of a claim that is made, e.g. `100Gi` or `2Ti`.",
        pattern=r"^[1-9][0-9]{0,5}[MGT]i$",
        max_length=8,
        json_schema_extra=_PLATFORM,
    )

    @field_validator("claim_size")
    @classmethod
    def _check_size(cls, value: str) -> str:
        if _CLAIM_SIZE.fullmatch(value) is None:
            raise ValueError("is no size of a claim; give a number with Mi, Gi or Ti, e.g. 100Gi")
        return value


class DiagnoseRequest(Request):
    """Which stream `fink_diagnose` looks at; none named means each one that is not well."""

    stream: str = Field(
        "",
        title="Stream",
        description="Its name, e.g. `stream2raw-ztf-20260101`; or give survey and night.",
        pattern=r"^[a-z0-9-]*$",
        max_length=63,
    )
    survey: Survey = Field(Survey.ZTF, title="Survey", description="Whose alerts.")
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
            _checked(lambda text: night_from(parse_stream_name(text)[1]), value)
        return value

    @field_validator("night")
    @classmethod
    def _check_night(cls, value: str) -> str:
        return value if value == "" else _checked(night_from, value)

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

    skip: list[Stage] = Field(
        default_factory=list,
        title="Stages to skip",
        description="What is there already: rights that someone else granted, an image, ...",
        max_length=len(Stage),
        json_schema_extra=_PLATFORM,
    )

    @property
    def builds_image(self) -> bool:
        """Tell whether the stage `image` runs."""
        return Stage.IMAGE not in self.skip

    @model_validator(mode="after")
    def _check_runnable(self) -> Self:
        if self.image_action is ImageAction.BUILD and self.builds_image:
            raise ValueError(
                "image_action build leaves nothing that the cluster can pull; choose another, or "
                "trigger fink_image"
            )
        return self


def _checked(rule: Callable[[str], str], value: str) -> str:
    try:
        return rule(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None

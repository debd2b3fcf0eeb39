"""What a person may ask of the stage `image`; the settings say what of it is allowed."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from fink_k8s.core.base.fields import PLATFORM, OrEmpty, Request
from fink_k8s.core.base.image_references import ImageTag
from fink_k8s.core.config.sources import (
    GitRevision,
    ProgramPath,
    RelativePath,
    SourceText,
    is_git_address,
)

Coordinates = Annotated[
    str, Field(pattern=r"^[a-zA-Z0-9_.-]+:[a-zA-Z0-9_.-]+:[a-zA-Z0-9_.-]+$", max_length=200)
]

ReleaseTag = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*_[0-9]+(\.[0-9]+)*$", max_length=40)]
"""`<fink>_<spark>`, e.g. `4.0_3.5.7`."""

_CONTENT: dict[str, JsonValue] = {"section": "What the image is made of"}


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


class ImageChoice(Request):
    """Which image runs, and which program in it."""

    release: OrEmpty[ReleaseTag] = Field(
        "",
        title="Release",
        description="`<fink>_<spark>` of releases.yaml; empty for the current one.",
        json_schema_extra=PLATFORM,
    )
    image_tag: OrEmpty[ImageTag] = Field(
        "",
        title="Image tag",
        description="Empty for the release's, `<fink>_<spark>`. Where the stage `image` is "
        "skipped, this tag, or `sha256:...`, is what runs.",
        json_schema_extra=PLATFORM,
    )
    main_file: OrEmpty[ProgramPath] = Field(
        "",
        title="Program",
        description="With Fink's own code: its path there, empty for `bin/stream2raw.py`. With "
        "an image made elsewhere or a Dockerfile of your own: its absolute path in the image.",
        json_schema_extra=_CONTENT,
    )

    @property
    def builds_image(self) -> bool:
        """Tell whether the stage `image` runs."""
        return False

    @property
    def is_in_minikube(self) -> bool:
        """Tell whether the image is in minikube's Docker, and in no registry."""
        return False


class ImageRequest(ImageChoice):
    """What `fink_image` builds."""

    image_action: ImageAction = Field(
        ImageAction.BUILD_AND_PUSH,
        title="Build, push",
        description="`build` and `push` are the two halves, for two runs of fink_image. "
        "`build-in-minikube`: in the Docker that `minikube docker-env` names; nothing is pushed, "
        "and the stream runs the image by its tag.",
        json_schema_extra=PLATFORM,
    )
    fink_source: OrEmpty[SourceText] = Field(
        "",
        title="Fink's own code",
        description="Empty for this project's job. Else a git address, or a folder or tarball, "
        "that FINK_SOURCES allows; e.g. `https://github.com/astrolabsoftware/fink-broker`.",
        json_schema_extra=_CONTENT,
    )
    fink_revision: OrEmpty[GitRevision] = Field(
        "",
        title="Revision",
        description="Of a git address: branch, tag or commit.",
        json_schema_extra=_CONTENT,
    )
    fink_requirements: Requirements = Field(
        Requirements.NOSCIENCE,
        title="Fink's requirements",
        description="Which Python packages of Fink's own requirements go with its code: "
        "`noscience`: requirements.txt; `science`: requirements-science*.txt too.",
        json_schema_extra=_CONTENT,
    )
    fink_requirements_folder: RelativePath = Field(
        "deps",
        title="Folder of the requirements",
        description="In Fink's code; e.g. `deps/ztf` in that of today.",
        json_schema_extra=_CONTENT,
    )
    dockerfile: OrEmpty[RelativePath] = Field(
        "",
        title="Dockerfile of your own",
        description="Name of a folder below FINK_DOCKERFILES; its Dockerfile makes the last "
        "stage, from `${SPARK_IMAGE}`.",
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

    @property
    def is_in_minikube(self) -> bool:
        """Tell whether the image is in minikube's Docker, and in no registry."""
        return self.image_action is ImageAction.MINIKUBE

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

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

_CONTENT: dict[str, JsonValue] = {"section": "Contents of the image"}


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
        description="`<fink>_<spark>` from releases.yaml. Leave empty for the current release.",
        json_schema_extra=PLATFORM,
    )
    image_tag: OrEmpty[ImageTag] = Field(
        "",
        title="Image tag",
        description="Leave empty for the release's tag, `<fink>_<spark>`. If the stage `image` "
        "is skipped, the stream runs this tag or digest (`sha256:...`).",
        json_schema_extra=PLATFORM,
    )
    main_file: OrEmpty[ProgramPath] = Field(
        "",
        title="Program",
        description="For Fink's code: a path in the code; leave empty for `bin/stream2raw.py`. "
        "For an image built elsewhere, or your own Dockerfile: an absolute path in "
        "the image.",
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
        title="Build and push",
        description="`build` and `push` are the two halves, for two runs of fink_image. "
        "`build-in-minikube` builds in the Docker engine that `minikube docker-env` "
        "names and pushes nothing; the stream runs the image by its tag.",
        json_schema_extra=PLATFORM,
    )
    fink_source: OrEmpty[SourceText] = Field(
        "",
        title="Source of Fink's code",
        description="Leave empty for this project's job. Otherwise, a git address, folder or "
        "tarball that FINK_SOURCES allows, e.g. "
        "`https://github.com/astrolabsoftware/fink-broker`.",
        json_schema_extra=_CONTENT,
    )
    fink_revision: OrEmpty[GitRevision] = Field(
        "",
        title="Git revision",
        description="Branch, tag or commit. Required for a git address.",
        json_schema_extra=_CONTENT,
    )
    fink_requirements: Requirements = Field(
        Requirements.NOSCIENCE,
        title="Fink's requirements",
        description="Python packages to install with Fink's code. `noscience`: "
        "requirements.txt. `science`: requirements-science*.txt as well.",
        json_schema_extra=_CONTENT,
    )
    fink_requirements_folder: RelativePath = Field(
        "deps",
        title="Requirements folder",
        description="Folder in Fink's code, e.g. `deps/ztf` in the current code.",
        json_schema_extra=_CONTENT,
    )
    dockerfile: OrEmpty[RelativePath] = Field(
        "",
        title="Your own Dockerfile",
        description="Name of a folder in FINK_DOCKERFILES. The Dockerfile in it builds the last "
        "stage, from `${SPARK_IMAGE}`.",
        json_schema_extra=_CONTENT,
    )
    extra_jars: list[Coordinates] = Field(
        default_factory=list,
        title="Extra JARs",
        description="JARs that FINK_EXTRA_JARS pins, one `group:artifact:version` per line.",
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
            raise ValueError("image_tag is a digest; enter a tag, or skip the stage image")
        is_git = is_git_address(self.fink_source)
        if is_git and not self.fink_revision:
            raise ValueError("fink_revision is empty; enter the branch, tag or commit to build")
        if self.fink_revision and not is_git:
            raise ValueError(
                "fink_revision is set, but fink_source is not a git address; clear one of them"
            )
        if self.main_file.startswith("/"):
            if self.builds_image and not self.dockerfile:
                raise ValueError("main_file is absolute; enter its path in Fink's code")
        elif self.main_file and not self.fink_source:
            raise ValueError(
                "main_file is relative; enter fink_source as well, or an absolute path"
            )
        return self

"""The compatibility matrix, `releases.yaml`: which Fink runs on which Spark and Kubernetes."""

import re
from enum import StrEnum

import yaml
from pydantic import BaseModel, ConfigDict, Field

from fink_k8s.core.errors import InvalidRequest

_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)")


class Verdict(StrEnum):
    """What is known of a release on a version of Kubernetes."""

    TESTED = "tested"
    UNTESTED = "untested"
    REFUSED = "refused"


class Jar(BaseModel):
    """A jar by its Maven coordinates `group:artifact:version`, and its sha256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    artifact: str = Field(pattern=r"^[\w.-]+:[\w.-]+:[\w.-]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def file(self) -> str:
        """Return the jar's file name."""
        _, name, version = self.artifact.split(":")
        return f"{name}-{version}.jar"


class Release(BaseModel):
    """One row of the matrix. Versions of Kubernetes are `major.minor`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fink: str
    spark: str
    scala: str
    java: int
    kubernetes_tested: tuple[str, ...]
    kubernetes_highest: str = ""
    published_image: str = ""
    pyspark_sha512: str = ""
    jars: tuple[Jar, ...] = ()
    note: str = ""

    @property
    def tag(self) -> str:
        """Return the image's tag, `<fink>_<spark>`."""
        return f"{self.fink}_{self.spark}"

    def check_kubernetes(self, version: str) -> tuple[Verdict, str]:
        """Return what is known of this release on `version`, and the sentence that says it."""
        what = f"Fink {self.fink} with Spark {self.spark} on Kubernetes {version}"
        if self.kubernetes_highest and _minor(version) > _minor(self.kubernetes_highest):
            return Verdict.REFUSED, (
                f"{what}: Spark {self.spark} never works above Kubernetes "
                f"{self.kubernetes_highest}; use another release or an older cluster"
            )
        if _minor(version) in map(_minor, self.kubernetes_tested):
            return Verdict.TESTED, f"{what}: tested"
        tested = ", ".join(self.kubernetes_tested)
        return Verdict.UNTESTED, f"{what}: not tested (tested: {tested}); expect it to work"


class Releases(BaseModel):
    """The whole matrix; the first row is the current release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    releases: tuple[Release, ...] = Field(min_length=1)

    def get(self, tag: str = "") -> Release:
        """Return the release of a tag; the current one for an empty tag.

        Raises:
            InvalidRequest: there is no such release; the message lists those there are.
        """
        if not tag:
            return self.releases[0]
        for release in self.releases:
            if release.tag == tag:
                return release
        known = ", ".join(release.tag for release in self.releases)
        raise InvalidRequest(
            f"release {tag!r} is unknown; use one of {known}, or add it to releases.yaml"
        )


def releases_from(text: str) -> Releases:
    """Return the matrix of a YAML text."""
    return Releases.model_validate(yaml.safe_load(text))


def _minor(version: str) -> tuple[int, int]:
    match = _VERSION.match(version)
    if match is None:
        raise InvalidRequest(f"{version!r} is no version of Kubernetes; give e.g. 1.34")
    return int(match[1]), int(match[2])

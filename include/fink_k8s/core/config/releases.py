"""The compatibility matrix, `releases.yaml`: which Fink runs on which Spark and Kubernetes."""

from enum import StrEnum

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.versions import version_of


class SupportVerdict(StrEnum):
    """What is known of a release on a version of Kubernetes."""

    TESTED = "tested"
    EXPECTED = "expected"
    REFUSED = "refused"


_IN_WORDS = {
    SupportVerdict.TESTED: "tested",
    SupportVerdict.EXPECTED: "not tested, expected to work",
    SupportVerdict.REFUSED: "refused",
}


class Flags(StrEnum):
    """Which generation of flags Fink's own code of a release takes."""

    PREFIX = "prefix"
    """Of today: `-online_data_prefix` and `-night` say where data and checkpoint go."""
    PATHS = "paths"
    """Up to 2.4: `-rawdatapath` and `-checkpointpath_raw` do."""


class Support(BaseModel):
    """A verdict on a range of versions of Kubernetes, both ends included, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lowest: str = ""
    highest: str = ""
    verdict: SupportVerdict
    reason: str = Field(min_length=1)

    @property
    def covers_all(self) -> bool:
        """Tell whether it speaks of every version."""
        return not (self.lowest or self.highest)

    @property
    def versions(self) -> str:
        """Return the range as people write it."""
        if self.lowest == self.highest:
            return self.lowest or "any other"
        return f"{self.lowest or 'any'} to {self.highest or 'any'}"

    def covers(self, version: str) -> bool:
        """Tell whether it speaks of this version."""
        asked = _minor(version)
        from_here = not self.lowest or asked >= _minor(self.lowest)
        return from_here and (not self.highest or asked <= _minor(self.highest))


class Security(BaseModel):
    """What is wrong with a release below `fixed_in`; with any, where that is empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fixed_in: str = ""
    reason: str = Field(min_length=1)


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
    """One row of the matrix. Java and Python are those of the base image that it runs on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fink: str
    spark: str
    scala: str
    java: int
    python: str = ""
    kubernetes: tuple[Support, ...] = Field(min_length=1)
    security: Security | None = None
    published_image: str = ""
    flags: Flags = Flags.PREFIX
    pyspark_sha512: str = ""
    jars: tuple[Jar, ...] = ()
    note: str = ""

    @property
    def tag(self) -> str:
        """Return the image's tag, `<fink>_<spark>`."""
        return f"{self.fink}_{self.spark}"

    @field_validator("kubernetes")
    @classmethod
    def _check_support(cls, value: tuple[Support, ...]) -> tuple[Support, ...]:
        if not value[-1].covers_all or any(one.covers_all for one in value[:-1]):
            raise ValueError("needs one entry without lowest and highest, the last, for the rest")
        return value

    def support_on(self, version: str) -> Support:
        """Return what is known of this release on a version of Kubernetes.

        Raises:
            InvalidRequest: it is not a valid version.
        """
        return next(support for support in self.kubernetes if support.covers(version))

    def check_kubernetes(self, version: str) -> tuple[SupportVerdict, str]:
        """Return what is known of this release on `version`, and the sentence that says it."""
        support = self.support_on(version)
        what = f"Fink {self.fink} with Spark {self.spark} on Kubernetes {version}"
        sentence = f"{what}: {_IN_WORDS[support.verdict]}: {support.reason}"
        if support.verdict is SupportVerdict.REFUSED:
            sentence += "; use another release, or a cluster that this one runs on"
        return support.verdict, sentence

    def check_security(self) -> str:
        """Return why this release should be left for a newer one; empty where nothing is known."""
        if self.security is None:
            return ""
        fixed = self.security.fixed_in
        if not fixed:
            return f"Spark {self.spark}: {self.security.reason}"
        if version_of(self.spark) >= version_of(fixed):
            return ""
        return f"Spark {self.spark} is below {fixed}, which fixes {self.security.reason}"


class Releases(BaseModel):
    """The whole matrix; the first row is the current release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    releases: tuple[Release, ...] = Field(min_length=1)

    def get(self, tag: str = "") -> Release:
        """Return the release of a tag; the current one for an empty tag.

        Raises:
            InvalidRequest: the release does not exist; the message lists the known ones.
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


def _minor(version: str) -> tuple[int, ...]:
    return version_of(version).release[:2]

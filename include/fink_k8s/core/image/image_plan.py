"""What an image is made of, as asked for and as allowed; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Jar, Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.config.sources import check_address, is_git_address, places_from
from fink_k8s.core.image.image_request import ImageAction, ImageChoice, ImageRequest

LABEL_MAIN_FILE = "fink.main-file"
"""The label of an image that says which program in it is stream2raw."""
CODE_HOME = "/opt/fink"
OWN_MAIN_FILE = f"{CODE_HOME}/stream2raw/bin/stream2raw.py"
FINK_MAIN_FILE = "bin/stream2raw.py"

_SCALA = re.compile(r"_(2\.[0-9]+|3)$")


@dataclass(frozen=True)
class Login:
    """A login of one registry; its password is in no text of it."""

    host: str
    user: str
    password: str = field(repr=False)


def jars_from(text: str) -> tuple[Jar, ...]:
    """Return the jars of a setting: comma-separated `group:artifact:version@sha256:...`."""
    jars = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        artifact, _, digest = entry.partition("@sha256:")
        jars.append(Jar(artifact=artifact, sha256=digest))
    return tuple(jars)


def chosen_jars(request: ImageRequest, settings: Settings, release: Release) -> tuple[Jar, ...]:
    """Return the extra jars that the form names, with the checksums that the settings pin.

    Raises:
        InvalidRequest: one is not allowed, is for another Scala, or is a second version of one.
    """
    allowed = {jar.artifact: jar for jar in jars_from(settings.extra_jars)}
    chosen = []
    for name in request.extra_jars:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            raise InvalidRequest(
                f"extra_jars: {name} is not in FINK_EXTRA_JARS; use one of {known}"
            )
        chosen.append(allowed[name])
    _check_jars([*release.jars, *chosen], release)
    return tuple(jar for jar in chosen if jar not in release.jars)


def main_file_of(request: ImageRequest) -> str:
    """Return the program in the image that is stream2raw."""
    if request.fink_source or request.main_file:
        return path_in_image(request.main_file or FINK_MAIN_FILE)
    return OWN_MAIN_FILE


def path_in_image(path: str) -> str:
    """Return the absolute path of one that is absolute, or below Fink's code."""
    return path if path.startswith("/") else f"{CODE_HOME}/{path}"


def tag_of(request: ImageChoice, release: Release) -> str:
    """Return the image's tag, `<fink>_<spark>` unless the form has another."""
    return request.image_tag or release.tag


def plan_of(request: ImageRequest, settings: Settings, release: Release) -> list[str]:
    """Check the request against the settings; return what will be built, a sentence each.

    Raises:
        InvalidRequest: a setting that the request needs is missing, or a jar does not fit.
        Refused: a source is not among those that the settings allow.
    """
    settings.need("image_repository", "image_base")
    jars = chosen_jars(request, settings, release)
    layers = [f"Spark {release.spark} on {settings.image_base_of(release.java)}"]
    if settings.image_requirements:
        layers.append("the Python packages of FINK_IMAGE_REQUIREMENTS")
    if jars:
        layers.append("extra jars " + ", ".join(jar.file for jar in jars))
    if request.fink_source:
        settings.need("sources")
        if is_git_address(request.fink_source):
            check_address(request.fink_source, places_from(settings.sources))
        at = f" at {request.fink_revision}" if request.fink_revision else ""
        layers.append(f"Fink's code from {request.fink_source}{at}")
        layers.append(f"its requirements: {request.fink_requirements}")
    else:
        layers.append("this project's job")
    if request.dockerfile:
        settings.need("dockerfiles")
        layers.append(f"with the Dockerfile in {request.dockerfile}")
    where = f"{settings.image_repository}:{tag_of(request, release)}"
    return [f"image {where}: {', '.join(layers)}", _DEEDS[request.image_action]]


_DEEDS = {
    ImageAction.BUILD_AND_PUSH: "build and push what changed; the stream runs the image by its "
    "digest",
    ImageAction.BUILD: "build what changed in the Docker engine; push nothing",
    ImageAction.PUSH: "push what was built; build nothing",
    ImageAction.MINIKUBE: "build what changed in minikube's Docker engine; push nothing; the "
    "stream runs the image by its tag and never pulls it",
}


def _check_jars(jars: Sequence[Jar], release: Release) -> None:
    versions: dict[str, str] = {}
    for jar in jars:
        _, name, version = jar.artifact.split(":")
        scala = _SCALA.search(name)
        if scala and scala[1] != release.scala:
            raise InvalidRequest(
                f"extra_jars: {jar.artifact} is for Scala {scala[1]}, but release {release.tag} "
                f"has Scala {release.scala}; use the JAR for that Scala version"
            )
        # Without Scala's version: spark-avro_2.12 and spark-avro_2.13 are one jar too.
        plain = _SCALA.sub("", name)
        if versions.setdefault(plain, version) != version:
            raise InvalidRequest(
                f"extra_jars: {plain} would be installed twice, as {versions[plain]} and "
                f"{version}; remove one: it is undefined which one Spark loads"
            )

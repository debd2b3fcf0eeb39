"""Build and push images through Docker's API; what is there already is neither built nor pushed.

Each stage has a key: the hash of its Dockerfile, its inputs and the key of the stage below. The
registry is asked for the tag of that key before anything is done.
"""

import hashlib
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fink_k8s.core.errors import FinkError, InvalidRequest, Unavailable
from fink_k8s.core.releases import Release
from fink_k8s.core.settings import Settings

Say = Callable[[str], None]

_MANIFESTS = ", ".join((
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
))  # fmt: skip
# What an engine says of each layer in turn, and says again.
_NOISE = frozenset({"Preparing", "Waiting", "Layer already exists", "Pushed", "Pushing"})
_IGNORED = ("__pycache__", ".pyc")


class BuildFailed(FinkError):
    """A step of a Dockerfile failed; the message ends with what it printed last."""


@dataclass(frozen=True)
class Stage:
    """One image of the chain: a Dockerfile and what it copies, by their names in the context."""

    name: str
    dockerfile: Path
    inputs: Mapping[str, Path]
    parent_argument: str
    parent: str
    parent_key: str

    @property
    def key(self) -> str:
        """Return 12 hex digits over all that goes into the image."""
        digest = hashlib.sha256(f"{self.parent_argument} {self.parent_key}".encode())
        for name, path in _members({"Dockerfile": self.dockerfile, **self.inputs}):
            mode = "x" if os.access(path, os.X_OK) else "-"
            digest.update(f"\0{name}\0{mode}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class ImageResult:
    """An image in the registry: its address by digest, and what had to be done for it."""

    reference: str
    tag: str
    built: tuple[str, ...]


def ensure_image(
    docker: Any,
    settings: Settings,
    release: Release,
    home: Path,
    jars: Path,
    include: Path,
    say: Say,
) -> ImageResult:
    """Return the job's image, built and pushed as far as its inputs changed.

    Args:
        docker: a client of the Docker API (`docker.APIClient`).
        settings: where the registry and the base image are.
        release: names the tag.
        home: Spark's distribution, a SPARK_HOME.
        jars: the folder of the release's jars.
        include: the folder that holds `image/` and `stream2raw/`.
        say: takes each line of progress as it comes.

    Raises:
        BuildFailed: a step of a Dockerfile failed.
        Unavailable: the Docker engine or the registry does not answer.
    """
    settings.need("image_repository", "image_base")
    repository = settings.image_repository
    base = settings.image_base_of(release.java)
    spark = Stage(
        "spark",
        include / "image/spark/Dockerfile",
        {"spark": home, "jars": jars, "entrypoint.sh": include / "image/entrypoint.sh"},
        "BASE",
        base,
        registry_digest(base) or base,
    )
    job = Stage(
        "job",
        include / "image/stream2raw/Dockerfile",
        {"stream2raw": include / "stream2raw"},
        "SPARK_IMAGE",
        f"{repository}:spark-{spark.key}",
        spark.key,
    )
    final = f"{repository}:job-{job.key}"
    built: list[str] = []
    if registry_digest(final):
        say(f"already so: {final} is in the registry; nothing built, nothing pushed")
    else:
        for stage in (spark, job):
            if _ensure_stage(docker, repository, stage, release, say):
                built.append(stage.name)
    digest = registry_digest(final)
    if registry_digest(f"{repository}:{release.tag}") != digest:
        _tag_and_push(docker, final, repository, release.tag, say)
    return ImageResult(f"{repository}@{digest}", release.tag, tuple(built))


def registry_digest(image: str) -> str | None:
    """Return the digest that the registry has for `host/path:tag`, or None where it has none.

    Raises:
        InvalidRequest: the image names no registry.
        Unavailable: the registry does not answer.
    """
    repository, tag = _parts_of(image)
    host, _, name = repository.partition("/")
    if not name:
        raise InvalidRequest(f"image {image} names no registry; give host/path:tag")
    scheme = "http" if host.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    try:
        answer = httpx.head(
            f"{scheme}://{host}/v2/{name}/manifests/{tag}",
            headers={"Accept": _MANIFESTS},
            timeout=10,
        )
    except httpx.HTTPError as error:
        raise Unavailable(f"registry {host} does not answer: {error}; is it up?") from error
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(
            f"registry {host} answers {answer.status_code} for {name}; check the login"
        )
    return str(answer.headers["docker-content-digest"])


def resolve(repository: str, tag: str) -> str:
    """Return `repository@digest` of a tag, or of a digest as it is given.

    Raises:
        InvalidRequest: the registry has no such tag.
        Unavailable: the registry does not answer.
    """
    if tag.startswith("sha256:"):
        return f"{repository}@{tag}"
    digest = registry_digest(f"{repository}:{tag}")
    if digest is None:
        raise InvalidRequest(
            f"image {repository}:{tag} is not in the registry; give another image_tag, or run "
            "fink_image"
        )
    return f"{repository}@{digest}"


def context_of(stage: Stage) -> Any:
    """Return the build context as an open tar file; the same inputs give the same bytes."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, path in _members({"Dockerfile": stage.dockerfile, **stage.inputs}):
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)
    out.seek(0, io.SEEK_SET)
    return out


def _ensure_stage(docker: Any, repository: str, stage: Stage, release: Release, say: Say) -> bool:
    image = f"{repository}:{stage.name}-{stage.key}"
    if registry_digest(image):
        say(f"already so: {image}")
        _pull_if_missing(docker, image, say)
        return False
    _pull_if_missing(docker, stage.parent, say)
    say(f"building {image}")
    begun = time.monotonic()
    labels = {
        "org.opencontainers.image.title": f"Fink stream2raw, {stage.name}",
        "org.opencontainers.image.version": release.tag,
        "fink.image-key": stage.key,
    }
    with context_of(stage) as context:
        _follow(
            docker.build(
                fileobj=context,
                custom_context=True,
                tag=image,
                buildargs={stage.parent_argument: stage.parent},
                labels=labels,
                network_mode="none",
                rm=True,
                decode=True,
            ),
            say,
        )
    say(f"built {image} in {time.monotonic() - begun:.1f} s")
    _push(docker, repository, f"{stage.name}-{stage.key}", say)
    return True


def _pull_if_missing(docker: Any, image: str, say: Say) -> None:
    if docker.images(name=image, quiet=True):
        return
    repository, tag = _parts_of(image)
    _follow(docker.pull(repository, tag=tag, stream=True, decode=True), say)


def _parts_of(image: str) -> tuple[str, str]:
    """Return repository and tag, or repository and digest."""
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    repository, _, tag = image.rpartition(":")
    return repository, tag


def _tag_and_push(docker: Any, image: str, repository: str, tag: str, say: Say) -> None:
    _pull_if_missing(docker, image, say)
    docker.tag(image, repository, tag)
    _push(docker, repository, tag, say)


def _push(docker: Any, repository: str, tag: str, say: Say) -> None:
    begun = time.monotonic()
    _follow(docker.push(repository, tag=tag, stream=True, decode=True), say)
    say(f"pushed {repository}:{tag} in {time.monotonic() - begun:.1f} s")


def _follow(events: Iterable[Mapping[str, Any]], say: Say) -> None:
    """Pass an engine's lines on as they come; its error is ours."""
    tail: list[str] = []
    for event in events:
        if error := event.get("error"):
            raise BuildFailed(f"{error}; it said last: {' | '.join(tail[-5:])}")
        # Progress bars come many times a second; whole lines are what people read.
        if event.get("progressDetail"):
            continue
        line = str(event.get("stream") or event.get("status") or "").strip()
        if line and line not in _NOISE:
            tail.append(line)
            say(line)


def _members(inputs: Mapping[str, Path]) -> Iterable[tuple[str, Path]]:
    for name, path in sorted(inputs.items()):
        if path.is_file():
            yield name, path
            continue
        for inner in sorted(path.rglob("*")):
            here = inner.relative_to(path)
            if inner.is_file() and not any(part in str(here) for part in _IGNORED):
                yield f"{name}/{here}", inner

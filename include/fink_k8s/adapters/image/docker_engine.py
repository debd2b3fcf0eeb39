"""Build and push the stages of an image through Docker's API, each as far as it is not there yet.

Each stage has a key: the hash of its Dockerfile, its inputs and the key of the stage below. The
registry, or the Docker engine where nothing is pushed, is asked for the tag of that key before
anything is done.
"""

import hashlib
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException

from fink_k8s.adapters.image.registry import parts_of, registry_digest
from fink_k8s.core.base.errors import FinkError, InvalidRequest, Unavailable
from fink_k8s.core.base.progress import Say
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.image.image_request import ImageAction

# What an engine says of each layer in turn, and says again.
_NOISE = frozenset({"Preparing", "Waiting", "Layer already exists", "Pushed", "Pushing"})
_IGNORED = ("__pycache__", ".pyc")


class BuildFailed(FinkError):
    """A step of a Dockerfile failed; the message ends with what it printed last."""


@dataclass(frozen=True)
class ImageStage:
    """One image of the chain: a Dockerfile and what it copies, by their names in the context."""

    name: str
    dockerfile: Path
    inputs: Mapping[str, Path]
    parent_argument: str
    parent: str
    parent_key: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """Return 12 hex digits over all that goes into the image.

        They are counted once: an input that changes while it is built must not change the name.
        """
        about = f"{self.parent_argument} {self.parent_key} {sorted(self.labels.items())}"
        digest = hashlib.sha256(about.encode())
        for name, path in _members({"Dockerfile": self.dockerfile, **self.inputs}):
            if path.is_symlink():
                digest.update(f"\0{name}\0l\0{path.readlink()}\0".encode())
                continue
            mode = "x" if os.access(path, os.X_OK) else "-"
            digest.update(f"\0{name}\0{mode}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:12]

    @property
    def tag(self) -> str:
        """Return the tag that says all: the stage's name and key."""
        return f"{self.name}-{self.key}"


@dataclass(frozen=True)
class Engine:
    """A Docker engine and the registry beside it, for the images of one repository.

    `docker` is a client of the Docker API (`docker.APIClient`), logged in where it must be.
    """

    docker: Any
    repository: str
    login: Login | None
    say: Say
    built: list[str] = field(default_factory=list)
    """The names of the stages that had to be built."""

    def ensure(self, stages: Sequence[ImageStage], action: ImageAction) -> None:
        """Have the last of `stages` where `action` wants it.

        Raises:
            BuildFailed: a step of a Dockerfile failed.
            InvalidRequest: it is to be pushed alone, and was not built.
            NotPermitted: the registry asks for a login.
            Unavailable: the Docker engine or the registry does not answer.
        """
        last = f"{self.repository}:{stages[-1].tag}"
        if action in (ImageAction.BUILD, ImageAction.MINIKUBE):
            if self.has(last):
                self.say(f"unchanged: {last} is in the Docker engine; built nothing")
                return
            for stage in stages:
                self._ensure_built(stage)
        elif registry_digest(last, self.login):
            self.say(f"unchanged: {last} is in the registry; built and pushed nothing")
        elif action is ImageAction.BUILD_AND_PUSH:
            for stage in stages:
                self._ensure_pushed(stage)
        else:
            if not self.has(last):
                raise InvalidRequest(
                    f"image_action push: {last} is not in this Docker engine; run fink_image with "
                    "image_action build and the same values first"
                )
            for stage in stages:
                self.push(stage.tag)

    def ensure_local(self, stage: ImageStage, action: ImageAction) -> str:
        """Have a stage in the engine; return its name there."""
        image = f"{self.repository}:{stage.tag}"
        if not self.has(image):
            is_pushed = action is ImageAction.BUILD_AND_PUSH
            (self._ensure_pushed if is_pushed else self._ensure_built)(stage)
        return image

    def key_of(self, base: str, action: ImageAction) -> str:
        """Return what distinguishes base images with the same name: the digest.

        Where nothing is pushed and no registry answers, it is the identity in the engine.
        """
        try:
            return registry_digest(base, self.login) or base
        except (InvalidRequest, Unavailable):
            if action in (ImageAction.BUILD, ImageAction.MINIKUBE) and self.has(base):
                return str(self.docker.inspect_image(base)["Id"])
            raise

    def has(self, image: str) -> bool:
        """Tell whether the engine has an image."""
        return bool(self.docker.images(name=image, quiet=True))

    def tag(self, stage: ImageStage, tag: str) -> None:
        """Give a stage's image one more tag."""
        image = f"{self.repository}:{stage.tag}"
        self._pull_if_missing(image)  # another worker may have built it
        self.docker.tag(image, self.repository, tag)

    def push(self, tag: str) -> None:
        """Push a tag; layers that the registry has are not sent again."""
        begun = time.monotonic()
        with _engine_errors(f"pushing {self.repository}:{tag}"):
            _follow(self.docker.push(self.repository, tag=tag, stream=True, decode=True), self.say)
        self.say(f"pushed {self.repository}:{tag} in {time.monotonic() - begun:.1f} s")

    def output_of(self, image: str, command: Sequence[str]) -> str:
        """Return what a command prints in a container of `image`, which has no network.

        Raises:
            BuildFailed: it cannot be run there.
        """
        docker = self.docker
        host = docker.create_host_config(network_mode="none")
        with _engine_errors(f"running {command[0]} in {image}"):
            container = docker.create_container(image, entrypoint=list(command), host_config=host)
            try:
                docker.start(container)
                status = docker.wait(container, timeout=60)["StatusCode"]
                text = docker.logs(container, stdout=True, stderr=bool(status)).decode()
            finally:
                docker.remove_container(container, force=True)
        if status:
            raise BuildFailed(f"{command[0]} in {image} ended with {status}: {text[-200:]}")
        return str(text)

    def _ensure_pushed(self, stage: ImageStage) -> None:
        image = f"{self.repository}:{stage.tag}"
        if registry_digest(image, self.login):
            self.say(f"unchanged: {image}")
            self._pull_if_missing(image)
            return
        self._ensure_built(stage)
        self.push(stage.tag)

    def _ensure_built(self, stage: ImageStage) -> None:
        image = f"{self.repository}:{stage.tag}"
        if self.has(image):
            self.say(f"unchanged: {image} is in the Docker engine")
            return
        self._pull_if_missing(stage.parent)
        self.say(f"building {image}")
        begun = time.monotonic()
        with context_of(stage) as context, _engine_errors(f"building {image}"):
            _follow(
                self.docker.build(
                    fileobj=context,
                    custom_context=True,
                    tag=image,
                    buildargs={stage.parent_argument: stage.parent},
                    labels={**stage.labels, "fink.image-key": stage.key},
                    network_mode="none",
                    rm=True,
                    decode=True,
                ),
                self.say,
            )
        self.say(f"built {image} in {time.monotonic() - begun:.1f} s")
        self.built.append(stage.name)

    def _pull_if_missing(self, image: str) -> None:
        if self.has(image):
            return
        repository, tag = parts_of(image)
        with _engine_errors(f"pulling {image}"):
            _follow(self.docker.pull(repository, tag=tag, stream=True, decode=True), self.say)


def context_of(stage: ImageStage) -> Any:
    """Return the build context as an open tar file; the same inputs give the same bytes.

    Symbolic links stay links: followed here, one could bring any file of the worker along.
    """
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, path in _members({"Dockerfile": stage.dockerfile, **stage.inputs}):
            info = tarfile.TarInfo(name)
            if path.is_symlink():
                info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(info)
                continue
            info.size = path.stat().st_size
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)
    out.seek(0, io.SEEK_SET)
    return out


@contextmanager
def _engine_errors(what: str) -> Iterator[None]:
    """Turn the errors of Docker's client into ours; `what` says what was being done."""
    try:
        yield
    except APIError as error:
        raise BuildFailed(
            f"{what}: the Docker engine rejected it: {error.explanation or error}",
            retryable=error.is_server_error() and "parse" not in str(error),
        ) from error
    except (DockerException, OSError) as error:
        raise Unavailable(
            f"{what}: the Docker engine does not answer: {error}; see DOCKER_HOST"
        ) from error


def _follow(events: Iterable[Mapping[str, Any]], say: Say) -> None:
    """Pass an engine's lines on as they come; its error is ours."""
    tail: list[str] = []
    for event in events:
        if error := event.get("error"):
            raise BuildFailed(f"{error}; last output: {' | '.join(tail[-5:])}")
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
            if ".git" in here.parts or any(part in str(here) for part in _IGNORED):
                continue
            if inner.is_symlink() or inner.is_file():
                yield f"{name}/{here}", inner

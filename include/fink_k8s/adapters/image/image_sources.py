"""Fink's own code, from a folder, a tarball or a git address, as a folder of the worker's cache."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fink_k8s.adapters.image.distribution import keep, unpack
from fink_k8s.core.base.errors import InvalidRequest, Refused, Unavailable
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.config.sources import (
    check_address,
    inside,
    is_archive,
    is_git_address,
    places_from,
)
from fink_k8s.core.image.image_plan import FINK_MAIN_FILE
from fink_k8s.core.image.image_request import ImageRequest, Requirements

_GIT_SECONDS = 600


@dataclass(frozen=True)
class CodeSource:
    """Fink's code as it goes into an image: where it lies, and what it is exactly."""

    folder: Path
    origin: str
    revision: str


def ensure_source(settings: Settings, request: ImageRequest, say: Say) -> CodeSource:
    """Return the code that the request names; fetched and unpacked where it is not in the cache.

    The revision is the full commit id of a git address, the sha256 of a tarball, and empty for a
    folder, which is taken as it is.

    Raises:
        Refused: the settings do not allow the source, or it holds a dangerous member.
        InvalidRequest: the revision, program or requirements file does not exist.
        Unavailable: the git address does not answer.
    """
    settings.need("sources")
    places = places_from(settings.sources)
    name = request.fink_source
    if is_git_address(name):
        check_address(name, places)
        source = _from_git(settings.cache_dir, name, request.fink_revision, say)
    else:
        path = inside(name, places.folders, "fink_source", "FINK_SOURCES")
        if path.is_dir():
            source = CodeSource(path, name, "")
        elif is_archive(name):
            source = _from_archive(settings.cache_dir, path, name, say)
        else:
            raise InvalidRequest(
                f"fink_source {name} is not a folder or a tarball (.tar, .tar.gz, .tgz)"
            )
    _check_main_file(source, request.main_file or FINK_MAIN_FILE)
    requirements_of(source, request)
    return source


def requirements_of(source: CodeSource, request: ImageRequest) -> list[Path]:
    """Return the files of Fink's requirements that the request asks for; the last may be `no-deps`.

    Raises:
        InvalidRequest: one of them is missing.
    """
    if request.fink_requirements is Requirements.NONE:
        return []
    folder = source.folder / request.fink_requirements_folder
    files = [folder / "requirements.txt"]
    if request.fink_requirements is Requirements.SCIENCE:
        files.append(folder / "requirements-science.txt")
    for file in files:
        if not file.is_file():
            raise InvalidRequest(
                f"fink_requirements {request.fink_requirements}: {source.origin} has no "
                f"{file.relative_to(source.folder)}; set fink_requirements_folder, or set "
                "fink_requirements to none"
            )
        _check_inside(source, file)
    alone = folder / "requirements-science-no-deps.txt"
    if request.fink_requirements is Requirements.SCIENCE and alone.is_file():
        _check_inside(source, alone)
        files.append(alone)
    return files


def _check_main_file(source: CodeSource, name: str) -> None:
    if not name.startswith("/") and not (source.folder / name).is_file():
        known = sorted(
            str(path.relative_to(source.folder)) for path in source.folder.rglob("stream2raw*.py")
        )
        hint = f"it has {', '.join(known[:5])}" if known else "it has no stream2raw*.py"
        raise InvalidRequest(
            f"main_file {name} is not in {source.origin}; {hint}; correct main_file"
        )


def _check_inside(source: CodeSource, file: Path) -> None:
    if not file.resolve().is_relative_to(source.folder.resolve()):
        raise Refused(
            f"{file.name} of {source.origin} is a link that leads out of it; replace it by a file"
        )


def _from_archive(cache: Path, archive: Path, name: str, say: Say) -> CodeSource:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    def make(folder: Path) -> None:
        unpack(archive, folder, what=f"fink_source {name}")

    return CodeSource(_cached(cache, digest, make, say, name), name, f"sha256:{digest}")


def _from_git(cache: Path, address: str, revision: str, say: Say) -> CodeSource:
    key = hashlib.sha256(address.encode()).hexdigest()[:16]
    repository = cache / "git" / key
    with _one_at_a_time(repository.with_name(f"{key}.lock")):
        if not repository.exists():
            with tempfile.TemporaryDirectory(dir=repository.parent) as workshop:
                _git("init", "--quiet", "--bare", f"{workshop}/bare")
                keep(Path(workshop) / "bare", repository)
        commit = _commit_of(repository, revision) if _is_full(revision) else ""
        if not commit:
            say(f"{address}: downloading branches and tags")
            # Forced, so that a branch that was force-pushed is not refused here.
            _git(
                f"--git-dir={repository}", "fetch", "--quiet", "--prune", "--force",
                "--no-recurse-submodules", "--end-of-options", address,
                "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
                address=address,
            )  # fmt: skip
            commit = _commit_of(repository, revision)
    if not commit:
        raise InvalidRequest(
            f"fink_revision {revision} is not a valid branch, tag or commit of {address}; enter "
            "an existing one"
        )
    say(f"{address}: {revision} is commit {commit}")

    def make(folder: Path) -> None:
        archive = folder.with_name("archive.tar")
        _git(f"--git-dir={repository}", "archive", f"--output={archive}", commit)
        unpack(archive, folder, what=f"commit {commit} of {address}")

    return CodeSource(_cached(cache, f"{key}-{commit}", make, say, address), address, commit)


def _cached(cache: Path, key: str, make: Callable[[Path], None], say: Say, name: str) -> Path:
    """Return the folder of `key` in the cache, made where it is not there; its one top left out."""
    place = cache / "sources" / key
    if place.exists():
        say(f"unchanged: {name} is in the cache")
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as workshop:
        made = Path(workshop) / "unpacked"
        make(made)
        members = list(made.iterdir())
        is_wrapped = len(members) == 1 and members[0].is_dir() and not members[0].is_symlink()
        keep(members[0] if is_wrapped and is_archive(name) else made, place)
    return place


def _is_full(revision: str) -> bool:
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def _commit_of(repository: Path, revision: str) -> str:
    try:
        return _git(
            f"--git-dir={repository}", "rev-parse", "--quiet", "--verify", "--end-of-options",
            f"{revision}^{{commit}}",
        ).split()[-1]  # fmt: skip
    except _GitFailed:
        return ""


class _GitFailed(Exception):
    """Git exited with an error; the text is what it said."""


def _git(*words: str, address: str = "") -> str:
    """Run git: never asking, with no protocol but the address's own, no hooks, no file monitor."""
    scheme = address.partition("://")[0] or "none"
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *words]
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_GIT_SECONDS,
            check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Unavailable(
            "git is not installed on this worker; install it, it downloads Fink's code",
            retryable=False,
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{address} did not answer git in {_GIT_SECONDS} s") from error
    if done.returncode == 0:
        return done.stdout
    if address:
        raise Unavailable(
            f"cannot download {address}: {done.stderr[-300:]}; check the address and, for a "
            "private one, git's credentials on this worker"
        )
    raise _GitFailed(done.stderr)


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Hold a file's lock, so that two builds on one worker do not fetch into one repository."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

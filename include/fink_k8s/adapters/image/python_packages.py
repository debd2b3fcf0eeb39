"""The Python packages of an image: wheels, brought by pip on the worker for the image's own Python.

Builds have no network, so nothing is installed inside them: pip unpacks wheels into a folder here,
and the image gets the folder. Only wheels are taken: a source archive would run its own code on
the worker. Pip uses the machine's own configuration of indexes.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from fink_k8s.adapters.image.distribution import keep
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.settings import Settings

NO_DEPENDENCIES = "requirements-science-no-deps.txt"
_SECONDS = 1500
_OLDEST_GLIBC = 17
_OPTIONS_OF_INDEXES = re.compile(
    r"(-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--prefer-binary)\b"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Target:
    """The Python and the C library of an image, e.g. 3.11, 2.36, x86_64."""

    python: str
    glibc: str
    machine: str

    PROGRAM = (
        "import platform, sys; print(*sys.version_info[:2], sep='.', end=' '); "
        "print(platform.libc_ver()[1], platform.machine())"
    )
    """What Python says of itself; `target_from` reads it."""

    def options(self) -> list[str]:
        """Return pip's options for wheels that run there."""
        newest = Version(self.glibc).minor
        names = [f"manylinux_2_{n}" for n in range(newest, _OLDEST_GLIBC - 1, -1)]
        platforms = [f"{name}_{self.machine}" for name in (*names, "manylinux2014")]
        return [
            "--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}",
            *(f"--platform={one}" for one in platforms),
        ]  # fmt: skip


def target_from(text: str) -> Target:
    """Return what an image's Python said of itself.

    Raises:
        InvalidRequest: it said something else.
    """
    match = re.fullmatch(r"(3\.[0-9]+) (2\.[0-9]+) (\w+)\s*", text)
    if match is None:
        raise InvalidRequest(
            f"python3 of the base image reports {text[:80]!r}, which is not Python 3 with "
            "glibc; set FINK_IMAGE_BASE to an image of a Linux distribution like Debian"
        )
    return Target(*match.groups())


def ensure_packages(
    settings: Settings, files: Sequence[Path], target: Callable[[], Target], say: Say
) -> Path:
    """Return a folder with the packages that the requirements `files` ask for.

    What was brought once is kept: the same requirements for the same Python ask no index again.

    Raises:
        InvalidRequest: a file does not exist, a line is not a requirement, or it names an
            address for which there is no wheel.
        Unavailable: the index does not answer, or has no wheel of a package.
    """
    wheels = Path(settings.wheels) if settings.wheels else None
    for file in files:
        if not file.is_file():
            raise InvalidRequest(
                f"requirements file {file} does not exist; correct FINK_IMAGE_REQUIREMENTS"
            )
    texts = [(file.name, requirements_from(file.read_text(), file.name, wheels, say))
             for file in files]  # fmt: skip
    aim = target()
    place = settings.cache_dir / "packages" / _key_of(texts, aim, wheels)
    if place.exists():
        say(f"unchanged: the Python packages for Python {aim.python} are in the cache")
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as workshop:
        made = Path(workshop) / "packages"
        made.mkdir()
        for alone in (False, True):
            chosen = [text for name, text in texts if (name == NO_DEPENDENCIES) == alone]
            if any(chosen):
                file = Path(workshop) / "requirements.txt"
                file.write_text("\n".join(chosen))
                _install(file, made, aim, wheels, ["--no-deps"] if alone else [], say)
        _tidy(made)
        keep(made, place)
    return place


def requirements_from(text: str, name: str, wheels: Path | None, say: Say) -> str:
    """Return requirements that pip takes from its own index and from `wheels` alone.

    Options that name other indexes are left out, and said so. A direct address is replaced by the
    wheel of that name in `wheels`, which whoever keeps the installation has built.

    Raises:
        InvalidRequest: a line is none of these; the message names the line.
    """
    lines = []
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), start=1):
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        # A fragment #egg=NAME is not a comment: it has no space before it.
        if not words:
            continue
        if _OPTIONS_OF_INDEXES.match(words):
            say(f"{name}: ignored {words}; packages come from this worker's own index")
        elif "://" in words or " @ " in words:
            lines.append(str(_wheel_for(words, name, wheels)))
        elif _NAME.match(words):
            lines.append(words)
        else:
            raise InvalidRequest(
                f"{name}: line {number}, {ascii(words)[:80]}, is not a package name with an "
                "optional version; options, files and paths are not allowed"
            )
    return "".join(f"{line}\n" for line in lines)


def _wheel_for(words: str, name: str, wheels: Path | None) -> Path:
    """Return the one wheel that stands for a requirement by address."""
    if match := re.search(r"#egg=([A-Za-z0-9._-]+)", words):
        package = match[1]
    elif " @ " in words:
        package = words.partition(" @ ")[0].partition("[")[0].strip()
    else:
        last = words.split(";")[0].strip().rstrip("/").rpartition("/")[2]
        package = last.partition("@")[0].removesuffix(".git")
    plain = _plain(package)
    found = [
        path for path in (sorted(wheels.glob("*.whl")) if wheels else ())
        if _plain(path.name.partition("-")[0]) == plain
    ]  # fmt: skip
    if len(found) != 1:
        have = "more than one wheel" if found else "no wheel"
        raise InvalidRequest(
            f"{name}: {package} comes from an address, which is never downloaded, and "
            f"FINK_WHEELS has {have} of it; build one (`pip wheel --no-deps`) into that folder, "
            "or change fink_requirements"
        )
    return found[0]


def _plain(name: str) -> str:
    """Return a package's name in the one spelling that all its spellings have."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _key_of(texts: Sequence[tuple[str, str]], target: Target, wheels: Path | None) -> str:
    digest = hashlib.sha256(repr((texts, target)).encode())
    for path in sorted(wheels.glob("*.whl")) if wheels else ():
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _install(
    requirements: Path, folder: Path, target: Target, wheels: Path | None, more: list[str], say: Say
) -> None:
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile",
        "--disable-pip-version-check", "--root-user-action=ignore", f"--target={folder}",
        *target.options(), *more, f"--requirement={requirements}",
    ]  # fmt: skip
    if wheels:
        command.append(f"--find-links={wheels}")
    say(f"installing Python packages as wheels for Python {target.python}")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"pip has not finished after {_SECONDS} s; check that the package index answers"
        ) from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise Unavailable(
            f"cannot get Python packages as wheels for Python {target.python}: "
            f"{' '.join(said)[-400:] or done.stderr[-400:]}; build wheels of them and put them "
            "into FINK_WHEELS",
            retryable="No matching distribution" not in done.stderr,
        )


def _tidy(folder: Path) -> None:
    """Take away what speaks of the worker: programs with its Python's path, files' origins."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for path in folder.glob("*.dist-info/direct_url.json"):
        path.unlink()

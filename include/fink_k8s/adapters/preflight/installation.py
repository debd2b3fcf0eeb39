"""The parts of an installation outside the cluster: registry, Spark's archive, programs."""

import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from fink_k8s.adapters.image.registry import registry_digest
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.image.image_plan import Login

# A tag that no release has: the registry's answer about it is all that counts.
_NO_TAG = "fink-doctor"


def check_registry(repository: str, login: Login | None = None) -> str:
    """Check that the registry of `repository` answers, to `login` where it asks for one.

    Raises:
        NotPermitted: it asks for a login, or for another one.
        Unavailable: it does not answer.
    """
    registry_digest(f"{repository}:{_NO_TAG}", login)
    return f"{repository.partition('/')[0]} answers"


def check_image(reference: str, login: Login | None = None) -> str:
    """Check that an image is in its registry, which may ask for `login`.

    Raises:
        InvalidRequest: it is not.
        NotPermitted: the registry asks for a login, or for another one.
        Unavailable: the registry does not answer.
    """
    digest = registry_digest(reference, login)
    if digest is None:
        raise InvalidRequest(f"{reference} is not in its registry; push it, or name another one")
    return f"{reference} exists, {digest[:19]}"


def check_archive(address: str) -> str:
    """Check that Spark's archive is available, without downloading it.

    Raises:
        Unavailable: it is not there.
    """
    parts = urlsplit(address)
    if parts.scheme == "file":
        if not Path(unquote(parts.path)).is_file():
            raise Unavailable(
                f"{unquote(parts.path)} does not exist on this worker; mount it, or use a URL"
            )
        return f"{address} exists"
    try:
        # Not every server of archives answers HEAD.
        with httpx.stream(
            "GET", address, headers={"Range": "bytes=0-0"}, timeout=10, follow_redirects=True
        ) as answer:
            answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"{parts.hostname} does not provide Spark's archive: {error}") from error
    return f"{address} exists"


def check_program(command: list[str]) -> str:
    """Return the first line that a program says of its version.

    Raises:
        Unavailable: it is not installed, or does not run.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed", retryable=False) from error
    except subprocess.SubprocessError as error:
        raise Unavailable(f"{command[0]} does not run: {error}", retryable=False) from error
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].strip() if lines else command[0]

"""Where the code of an image may come from: only from the places that the settings allow.

A form must not give access to every file of the worker or to every address: a source is a path in
an allowed folder, or a git address below an allowed one. Paths and addresses consist of plain
characters, so that no part of them has a meaning to a shell, to git or to a file system.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from fink_k8s.core.base.errors import InvalidRequest, Refused
from fink_k8s.core.base.fields import checked_by

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
_RELATIVE = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_ADDRESS = re.compile(
    rf"(https://[A-Za-z0-9.-]+(:[0-9]{{1,5}})?|ssh://([a-z][a-z0-9-]*@)?[A-Za-z0-9.-]+(:[0-9]{{1,5}})?"
    rf"|file://)(/{_SEGMENT})*/?"
)
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Places:
    """The folders of the worker and the git addresses below which sources may lie."""

    folders: tuple[Path, ...] = ()
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return them as they are written in the settings."""
        return ", ".join([*map(str, self.folders), *self.addresses]) or "nothing"


def places_from(text: str) -> Places:
    """Return the places of a setting: comma-separated absolute folders and git addresses.

    Raises:
        ValueError: an entry is neither.
    """
    folders, addresses = [], []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if is_git_address(entry):
            if _ADDRESS.fullmatch(entry) is None:
                raise ValueError(
                    "has an invalid git address; use https://, ssh:// or file:// with a plain host "
                    "and path, without a password or '..'"
                )
            addresses.append(entry.rstrip("/"))
        else:
            folders.append(folder_from(entry))
    return Places(tuple(folders), tuple(addresses))


def folder_from(text: str) -> Path:
    """Check that `text` is an absolute path without `..`, and return it."""
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts or not text.isprintable():
        raise ValueError("must be an absolute path without '..'")
    return Path(path)


def is_git_address(source: str) -> bool:
    """Tell whether a source is a git address, not a path."""
    return "://" in source


def is_archive(source: str) -> bool:
    """Tell whether a source is a tarball, by its name."""
    return source.endswith(ARCHIVES)


def source_from(text: str) -> str:
    """Check the shape of a source, a git address or a relative path, and return it."""
    if is_git_address(text):
        if _ADDRESS.fullmatch(text) is None or text.endswith("/"):
            raise InvalidRequest(
                "is not a valid git address; enter https://host/path, ssh://host/path or "
                "file:///path, without a password or '..'"
            )
        return text
    return relative_path_from(text)


def relative_path_from(text: str) -> str:
    """Check that `text` is a plain relative path, and return it."""
    if _RELATIVE.fullmatch(text) is None:
        raise InvalidRequest(
            "is not a valid relative path; use letters, digits and . _ + - (no '..', no leading "
            "'/'), "
            "e.g. bin/stream2raw.py"
        )
    return text


def image_path_from(text: str) -> str:
    """Check that `text` is a path in an image, absolute or below Fink's code, and return it."""
    relative_path_from(text.removeprefix("/"))
    return text


def revision_from(text: str) -> str:
    """Check that `text` can be a branch, a tag or a commit of git, and return it."""
    # HEAD would be that of the copy on the worker, not the address's own.
    if _REVISION.fullmatch(text) is None or ".." in text or text.endswith("HEAD"):
        raise InvalidRequest(
            "is not a valid branch, tag or commit; enter e.g. v4.0 or a full commit id"
        )
    return text


SourceText = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9@:/._+-]+$", max_length=300), AfterValidator(source_from)
]
"""A git address, or a path relative to an allowed folder."""
GitRevision = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_./+-]+$", max_length=200), AfterValidator(revision_from)
]
RelativePath = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_./+-]+$", max_length=200), AfterValidator(relative_path_from)
]
ProgramPath = Annotated[
    str,
    Field(pattern=r"^/?[A-Za-z0-9_./+-]+\.py$", max_length=200),
    AfterValidator(image_path_from),
]
"""A Python file in an image, absolute or below Fink's code."""
SchemaPath = Annotated[
    str,
    Field(pattern=r"^/?[A-Za-z0-9_./+-]+\.(avsc|avro)$", max_length=200),
    AfterValidator(image_path_from),
]
"""An Avro schema in an image, absolute or below Fink's code."""
FolderPath = Annotated[str, AfterValidator(lambda text: str(folder_from(text)))]
"""An absolute path of the worker."""
SourcePlaces = Annotated[str, checked_by(places_from)]
"""Comma-separated folders and git addresses, as `places_from` reads them."""


def check_address(source: str, places: Places) -> None:
    """Refuse a git address outside the allowed ones.

    Raises:
        Refused: none of the allowed addresses holds it.
    """
    # With the slash: https://host/fink must not let https://host/fink-of-another pass.
    if not any(source == one or source.startswith(f"{one}/") for one in places.addresses):
        raise Refused(
            f"fink_source {source} is not below any git address in FINK_SOURCES ({places}); use "
            "one of "
            "those, or ask for a change of the installation's settings"
        )


def inside(name: str, folders: Sequence[Path], field: str, setting: str) -> Path:
    """Return the path `name` inside the first of `folders` that has it.

    Raises:
        Refused: none has it, or a link leads out of the folder.
    """
    for folder in folders:
        path = folder / name
        if path.exists():
            if not path.resolve().is_relative_to(folder.resolve()):
                raise Refused(
                    f"{field} {name} is a link that leads out of the folders in {setting}; "
                    "replace it by a copy"
                )
            return path
    shown = ", ".join(map(str, folders)) or "no folder"
    raise Refused(f"{field} {name} does not exist; put it into a folder of {setting} ({shown})")

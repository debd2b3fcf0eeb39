"""Names of images: repository, tag and digest."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

# The grammar of image references: https://github.com/distribution/reference
_REPOSITORY = re.compile(
    r"([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*(:[0-9]{1,5})?/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


def is_image_reference(text: str) -> bool:
    """Tell whether `text` is `repository:tag`, `repository@digest` or both at once."""
    rest, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        return False
    head, slash, tail = rest.rpartition("/")
    name, colon, tag = tail.partition(":")
    if colon and _TAG.fullmatch(tag) is None:
        return False
    return bool(at or colon) and _REPOSITORY.fullmatch(f"{head}{slash}{name}") is not None


def is_image_tag(text: str) -> bool:
    """Tell whether `text` can be an image's tag."""
    return _TAG.fullmatch(text) is not None


def is_image_repository(text: str) -> bool:
    """Tell whether `text` is a repository, `host[:port]/path` in lower case, without tag."""
    return _REPOSITORY.fullmatch(text) is not None


def image_tag_from(text: str) -> str:
    """Check that `text` is an image's tag or digest, and return it.

    Raises:
        ValueError: it is neither; the caller adds the field's name.
    """
    if text.startswith("sha256:"):
        if _DIGEST.fullmatch(text) is None:
            raise ValueError("is not a valid digest; enter sha256: and 64 hex digits")
    elif not is_image_tag(text):
        raise ValueError("is not a valid image tag; enter e.g. 4.0_3.5.7 or sha256:<64 hex digits>")
    return text


def image_repository_from(text: str) -> str:
    """Check that `text` is a repository, and return it.

    Raises:
        ValueError: it is not; the caller adds the field's name.
    """
    if not is_image_repository(text):
        raise ValueError(
            "is not a valid image repository; enter host[:port]/path in lower case, without a tag"
        )
    return text


ImageTag = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_:.-]+$", max_length=128), AfterValidator(image_tag_from)
]
ImageRepository = Annotated[str, AfterValidator(image_repository_from)]

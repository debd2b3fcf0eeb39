"""The errors that cross a boundary of this library.

Each one says whether doing the same again can help (`retryable`). `str(error)` is one line that
names the cause and the remedy.
"""

from typing import ClassVar


class FinkError(Exception):
    """Report a failure in one line: the cause, then what to do about it.

    `retryable` is a property of the class, and can be overruled for one error where the same
    kind of failure is sometimes passing.
    """

    default_retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        # A log viewer shows the last line only, so the message must never be more than one.
        super().__init__(" ".join(message.split()))
        self.retryable = self.default_retryable if retryable is None else retryable


class InvalidRequest(FinkError, ValueError):
    """Something that was asked for, or configured, breaks a rule: the message names the field.

    It is a ValueError as well, so that pydantic's validators may raise it.
    """


class Refused(FinkError):
    """The request is well formed, but a rule forbids it here and now."""


class Unavailable(FinkError):
    """A system did not answer, or said that it is busy: the same call may succeed later."""

    default_retryable = True


class OutOfSight(FinkError):
    """This process cannot see the store, though the stream can; the message says how it could."""


class NotPermitted(FinkError):
    """The account in use lacks a right: the message names the right."""


class Conflict(FinkError):
    """What is there already differs from what was asked for, and must not be overwritten."""


class StreamFailed(FinkError):
    """The stream cannot start, or has died."""


def shown(text: object) -> str:
    """Quote outside text for a message: ASCII only (no bidi tricks) and short."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 80 else f"{quoted[:77]}..."

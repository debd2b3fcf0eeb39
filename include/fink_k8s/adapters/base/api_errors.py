"""What the API server answers when it does not do what it was asked, as errors of ours."""

from fink_k8s.core.base.errors import Conflict, FinkError, InvalidRequest, NotPermitted, Unavailable

BUSY = frozenset({429, 500, 502, 503, 504})
"""HTTP statuses of a server that may answer the same request later."""


class NotThere(FinkError):
    """The object does not exist."""


class Away(Unavailable):
    """The API server gave no answer, or not the whole of it."""


def away(what: str, error: BaseException) -> Away:
    """Return the error for a request `what` that got no answer."""
    return Away(f"the API server does not answer ({what}): {error or type(error).__name__}")


def error_of(status: int, text: str, what: str) -> FinkError:
    """Return the error for an answer's HTTP status; `text` is the server's, `what` the request."""
    text = text[:600]
    match status:
        case 404:
            return NotThere(f"{what}: the object does not exist")
        case 401 | 403:
            return NotPermitted(
                f"{what} is forbidden: {text}; grant the right, or use another connection"
            )
        case 409:
            return Conflict(f"{what}: {text}")
        case 410:
            return Unavailable(f"{what}: the requested version has expired; list again: {text}")
        case status if status in BUSY:
            return Unavailable(f"{what}: the API server is busy ({status}): {text}")
        case _:
            return InvalidRequest(f"{what} was rejected: {text}")

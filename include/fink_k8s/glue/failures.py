"""How an error of this library becomes an Airflow failure: retried only where that can help."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from fink_k8s.core.errors import FinkError

log = logging.getLogger(__name__)


@contextmanager
def airflow_failures() -> Iterator[None]:
    """Turn a `FinkError` into the Airflow exception that retries, or the one that does not."""
    try:
        yield
    except FinkError as error:
        raise failure_of(str(error), retryable=error.retryable) from error


def failure_of(message: str, *, retryable: bool) -> AirflowException:
    """Return the exception that fails a task with `message`, for good unless `retryable`.

    The message is a line of the log as well: Airflow shows an exception folded away.
    """
    log.error("%s", message)
    return AirflowException(message) if retryable else AirflowFailException(message)


def check_outcome(event: dict[str, Any]) -> str:
    """Return the reason of a trigger's event, or fail the task with it."""
    reason = str(event["reason"])
    if not event["reached"]:
        raise failure_of(reason, retryable=bool(event["retryable"]))
    return reason

"""How an error of this library becomes an Airflow failure: retried only where that can help."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from fink_k8s.core.base.errors import FinkError

log = logging.getLogger(__name__)
_FAILURE = "failure"


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
    _remember(message)
    return AirflowException(message) if retryable else AirflowFailException(message)


def failures_of(context: Any) -> dict[str, str]:
    """Return the tasks of this run that have failed, and what each said last (empty: unknown)."""
    ti, run_id = context["ti"], context["run_id"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id]).get(run_id, {})
    failed = [task for task, state in states.items() if state == "failed"]
    return {task: ti.xcom_pull(task_ids=task, key=_FAILURE) or "" for task in failed}


def _remember(message: str) -> None:
    """Pass the message on to the run's last task, which diagnoses; no other task can read it."""
    try:
        get_current_context()["ti"].xcom_push(_FAILURE, message)
    except Exception as error:
        # Whatever it is, it must not stand in the place of the failure itself.
        log.debug("the failure is not passed on: %s", error)


def check_outcome(event: dict[str, Any]) -> str:
    """Return the reason of a trigger's event, or fail the task with it."""
    reason = str(event["reason"])
    if not event["reached"]:
        raise failure_of(reason, retryable=bool(event["retryable"]))
    return reason

"""What a task takes from its run when it starts: the form's values, other tasks' results.

They come as what they are. Airflow's templates make text of them, and its native rendering makes
values of text, which turns the night `20260101` into a number.
"""

from collections.abc import Callable
from typing import Any


class RunValue:
    """A value of the run, for a templated field or inside of one.

    Airflow resolves it as it resolves an `XComArg`; that is the better choice where the task that
    the value comes from is at hand, since it also makes the one wait for the other.
    """

    def __init__(self, name: str, find: Callable[[Any], Any]) -> None:
        self._name = name
        self._find = find

    def resolve(self, context: Any) -> Any:
        """Return the value; `context` is that of the task which takes it."""
        return self._find(context)

    def __str__(self) -> str:
        """Return what Airflow shows of it as long as it is not resolved."""
        return self._name


def form_value(field: str, otherwise: Any = None) -> RunValue:
    """Return the form's value of a field; `otherwise` if it is empty in the form."""

    def find(context: Any) -> Any:
        given = context["params"].get(field)
        return otherwise if given is None else given

    return RunValue(f"form: {field}", find)


def form_seconds(field: str, otherwise: float) -> RunValue:
    """Return the form's value of a field in minutes, as seconds; `otherwise` is in minutes too."""
    minutes = form_value(field, otherwise)
    return RunValue(str(minutes), lambda context: round(60 * minutes.resolve(context)))


def result_of(task_id: str, *path: str) -> RunValue:
    """Return what a task returned, or the part of it that `path` leads to."""

    def find(context: Any) -> Any:
        value = context["ti"].xcom_pull(task_ids=task_id)
        for key in path:
            value = value[key]
        return value

    return RunValue(".".join((task_id, *path)), find)

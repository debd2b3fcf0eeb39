"""The policy for restarting a dead stream; pure.

The Spark Operator restarts a dead driver by itself, a fixed number of times in the life of an
application. After that, this policy applies. It counts recent restarts only: a stream that ran well
for a while has its whole budget again, and one that dies repeatedly ends as failed, with the cause.

The restarts are recorded in the application's annotation `fink.restarts`, so that a run that adopts
the stream has its history, even if no Airflow process was running.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

ANNOTATION_RESTARTS = "fink.restarts"
HEALTHY_SPAN = timedelta(minutes=10)
"""After a run this long, a driver's death counts as the first one again."""
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=5)
# All annotations together may have 256 KiB; this many restarts need about 100 KiB.
_MOST = 200
_CAUSE_LENGTH = 400


class RestartedBy(StrEnum):
    """Who restarted the driver."""

    OPERATOR = "operator"
    FINK = "fink"


class Restart(BaseModel):
    """The end of a driver, and its replacement by another one."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    cause: str
    by: RestartedBy
    lived_s: float = 0
    """How long the dead driver had run, in seconds."""
    back_after_s: float | None = None
    """After how many seconds a query was alive again; None if not seen yet."""
    application: str = ""
    """The uid of the application whose driver died; empty for one of plain spark-submit."""

    @property
    def is_over(self) -> bool:
        """Tell whether a query was seen alive again."""
        return self.back_after_s is not None


_History = TypeAdapter(list[Restart])


def restarts_of(thing: Mapping[str, Any] | None) -> list[Restart]:
    """Return the restarts recorded on an application or a driver, oldest first."""
    annotations = (thing or {}).get("metadata", {}).get("annotations") or {}
    try:
        return _History.validate_json(annotations.get(ANNOTATION_RESTARTS, "[]"))
    except ValidationError:
        return []  # written by something else; ignore it


def annotation_of(restarts: Sequence[Restart]) -> dict[str, str]:
    """Return the annotation that records `restarts`; if there are very many, the latest."""
    told = [
        restart.model_copy(update={"cause": restart.cause[:_CAUSE_LENGTH]}).model_dump(mode="json")
        for restart in restarts[-_MOST:]
    ]
    return {ANNOTATION_RESTARTS: json.dumps(told)}


def started_again(there: Mapping[str, Any], restarts: Sequence[Restart]) -> dict[str, Any]:
    """Return the manifest to re-create an application, with `restarts` recorded on it.

    Additions of the cluster are left out; the spec, and so its hash, is unchanged.
    """
    metadata = there["metadata"]
    ours = {
        name: text
        for name, text in (metadata.get("annotations") or {}).items()
        if name.startswith("fink.")
    }
    return {
        "apiVersion": there["apiVersion"],
        "kind": there["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels") or {},
            "annotations": {**ours, **annotation_of(restarts)},
        },
        "spec": there["spec"],
    }


def is_told(history: Sequence[Restart], application: str, starts: int) -> bool:
    """Tell whether the history has all of the operator's restarts of an application.

    `starts` is how many drivers the operator has started for it.
    """
    told = [one for one in history
            if one.by is RestartedBy.OPERATOR and one.application == application]  # fmt: skip
    return len(told) >= starts - 1


def in_a_row(history: Sequence[Restart], span: timedelta = HEALTHY_SPAN) -> int:
    """Return the number of Fink's latest restarts without a healthy span before them."""
    row = 0
    for restart in reversed(history):
        row += restart.by is RestartedBy.FINK
        if restart.lived_s >= span.total_seconds():
            break
    return row


def pause_before(
    history: Sequence[Restart], lived: timedelta, budget: int, span: timedelta = HEALTHY_SPAN
) -> timedelta | None:
    """Return how long to wait before the next start, or None if there is to be none.

    Args:
        history: the restarts up to now.
        lived: how long the driver ran that has just died.
        budget: the maximum number of restarts in a row.
        span: how long a driver must run to restore the budget.
    """
    row = 0 if lived >= span else in_a_row(history, span)
    if row >= budget:
        return None
    return min(timedelta(seconds=FIRST_PAUSE.total_seconds() * 2**row), LONGEST_PAUSE)


def crash_loop(history: Sequence[Restart], cause: str) -> str:
    """Return the line with the reason why there is no further restart."""
    by_operator = sum(restart.by is RestartedBy.OPERATOR for restart in history)
    return (
        f"it dies repeatedly (restarted {in_a_row(history)} times in a row by the night DAG, "
        f"{by_operator} times in total by the operator); last: {cause}"
    )

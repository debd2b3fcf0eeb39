"""When a stream that died is started again, and when it is not; pure.

The Spark Operator starts a dead driver again by itself, a fixed number of times in the life of an
application. This policy goes on where that ends: what counts is how a stream fared lately, so that
a stream that ran well for a while has its whole budget again, and one that dies again and again
ends as failed, with its reason.

What was done stands in the application's annotation `fink.restarts`: whoever adopts the stream has
its history, and no Airflow process needs to have lived to know it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

ANNOTATION_RESTARTS = "fink.restarts"
HEALTHY_SPAN = timedelta(minutes=10)
"""How long a driver has to have run, for its death to be the first one again."""
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=5)
# An annotation holds 256 KiB in all; so many restarts have some 100 KiB at most.
_MOST = 200
_CAUSE_LENGTH = 400


class RestartedBy(StrEnum):
    """Who started the driver again."""

    OPERATOR = "operator"
    FINK = "fink"


class Restart(BaseModel):
    """A driver's end, and that another one was started for it."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    cause: str
    by: RestartedBy
    lived_s: float = 0
    """How long the driver that died had run, in seconds."""
    back_after_s: float | None = None
    """After how many seconds a query lived again; None: it has not been seen to."""
    application: str = ""
    """The uid of the application whose driver died; empty for one of plain spark-submit."""

    @property
    def is_over(self) -> bool:
        """Tell whether a query was seen to live again."""
        return self.back_after_s is not None


_History = TypeAdapter(list[Restart])


def restarts_of(thing: Mapping[str, Any] | None) -> list[Restart]:
    """Return the restarts that an application or a driver tells of, oldest first."""
    annotations = (thing or {}).get("metadata", {}).get("annotations") or {}
    try:
        return _History.validate_json(annotations.get(ANNOTATION_RESTARTS, "[]"))
    except ValidationError:
        return []  # someone else's words there are no reason to fail


def annotation_of(restarts: Sequence[Restart]) -> dict[str, str]:
    """Return the annotation that tells of `restarts`; of very many, the latest."""
    told = [
        restart.model_copy(update={"cause": restart.cause[:_CAUSE_LENGTH]}).model_dump(mode="json")
        for restart in restarts[-_MOST:]
    ]
    return {ANNOTATION_RESTARTS: json.dumps(told)}


def started_again(there: Mapping[str, Any], restarts: Sequence[Restart]) -> dict[str, Any]:
    """Return the manifest of which an application comes anew, telling of `restarts`.

    What the cluster has added to it stays behind; its spec, and so its hash, is as it was.
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
    """Tell whether the history has all restarts by the operator of an application.

    `starts` is how many drivers the operator has started for it.
    """
    told = [one for one in history
            if one.by is RestartedBy.OPERATOR and one.application == application]  # fmt: skip
    return len(told) >= starts - 1


def in_a_row(history: Sequence[Restart], span: timedelta = HEALTHY_SPAN) -> int:
    """Return how many of the last restarts by Fink came without a healthy span before them."""
    row = 0
    for restart in reversed(history):
        row += restart.by is RestartedBy.FINK
        if restart.lived_s >= span.total_seconds():
            break
    return row


def pause_before(
    history: Sequence[Restart], lived: timedelta, budget: int, span: timedelta = HEALTHY_SPAN
) -> timedelta | None:
    """Return how long to wait before the next start, or None where there is to be none.

    Args:
        history: the restarts up to now.
        lived: how long the driver that has just died had run.
        budget: how many restarts in a row there may be.
        span: how long a driver has to have run for the budget to be whole again.
    """
    row = 0 if lived >= span else in_a_row(history, span)
    if row >= budget:
        return None
    return min(timedelta(seconds=FIRST_PAUSE.total_seconds() * 2**row), LONGEST_PAUSE)


def crash_loop(history: Sequence[Restart], cause: str) -> str:
    """Return the line that says why there is no further start."""
    by_operator = sum(restart.by is RestartedBy.OPERATOR for restart in history)
    return (
        f"it dies again and again (started again {in_a_row(history)} times in a row by fink_night, "
        f"{by_operator} times in all by the operator); last: {cause}"
    )

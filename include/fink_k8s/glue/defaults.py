"""What all DAGs have in common: tags of a closed set, limits, and who owns them."""

from datetime import timedelta
from enum import StrEnum
from typing import Any


class Tag(StrEnum):
    """The tags by which DAGs are found; no other is allowed."""

    LIFECYCLE = "lifecycle"
    STAGE = "stage"


DAG_DEFAULTS: dict[str, Any] = {
    "schedule": None,
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {
        "owner": "fink",
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(minutes=30),
    },
}

"""What all DAGs have in common: tags of a closed set, limits, and who owns them."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from airflow.sdk import TriggerRule

from fink_k8s.core.config.settings import load_settings


class Tag(StrEnum):
    """The tags by which DAGs are found; no other is allowed."""

    LIFECYCLE = "lifecycle"
    STAGE = "stage"
    TROUBLE = "troubleshooting"
    WATCH = "watch"


DAG_DEFAULTS: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {
        "owner": "fink",
        "retries": 1,
        "retry_delay": timedelta(seconds=10),
        "execution_timeout": timedelta(minutes=30),
        # A stage that is skipped from the form must not skip those after it.
        "trigger_rule": TriggerRule.NONE_FAILED,
    },
}

# A night by hand must not wait for the one that runs; of one night there is one driver anyway.
# Nobody is there to trigger it again: what may pass is waited for, for about half an hour. Each
# try takes the stream as it is.
NIGHT_DEFAULTS: dict[str, Any] = {
    **DAG_DEFAULTS,
    "max_active_runs": 8,
    "default_args": {
        **DAG_DEFAULTS["default_args"],
        "retries": 30,
        "retry_delay": timedelta(seconds=15),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=1),
    },
}


def health_interval() -> timedelta:
    """Return how often `fink_health` looks; read while the DAG is parsed, from the environment."""
    return timedelta(minutes=load_settings().health_minutes)

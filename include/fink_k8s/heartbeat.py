"""Check whether a component of Airflow is alive: `python -m fink_k8s.heartbeat COMPONENT`.

Compose runs this check often, in every container. `airflow jobs check` loads all of Airflow each
time, which takes seconds of CPU; the API server knows the same heartbeats at far less cost.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from urllib.parse import urljoin

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_EXECUTION_API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"


def statuses(seconds: float = 8) -> Mapping[str, str]:
    """Return each component's status, `healthy` or not, as the API server sees it.

    Raises:
        OSError: the API server does not answer in time.
        ValueError: the answer is not JSON, so it is not from an API server.
    """
    address = urljoin(os.environ.get(_EXECUTION_API, "http://localhost:8080/"), "/api/v2/monitor/")
    with urllib.request.urlopen(f"{address}health", timeout=seconds) as answer:  # noqa: S310
        found = json.load(answer)
    return {name: str((found.get(name) or {}).get("status")) for name in COMPONENTS}


def main() -> int:
    """Print the component's status; return 0 if it is healthy."""
    component = sys.argv[1]
    try:
        status = statuses()[component]
    except (OSError, ValueError) as error:
        status = f"unknown, the API server does not answer: {error}"
    print(f"{component}: {status}")  # noqa: T201
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main())

"""Where the testbed keeps its things: the cache (for good), the data, and the running state."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "testbed"
RELEASES = ROOT / "include/releases.yaml"
STATE = Path("/run/fink-testbed")
DATA = Path("/var/lib/fink-testbed")
LOGS = STATE / "logs"
KUBECONFIG = STATE / "kubeconfig"
# Of the account that runs streams; include/kubernetes/airflow-account.yaml has its rights.
KUBECONFIG_AIRFLOW = STATE / "kubeconfig-airflow"
# Where a form's `fink_source` may lie: a test or a person puts code there.
FINK_CODE = STATE / "code"
DOCKER_SOCKET = STATE / "docker.sock"


def cache() -> Path:
    """Return the folder for builds and downloads that outlive a checkout."""
    if chosen := os.environ.get("FINK_CACHE_DIR"):
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "fink-k8s-airflow"

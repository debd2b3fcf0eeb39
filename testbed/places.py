"""The testbed's folders: the cache (permanent), the data, and the running state."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "testbed"
RELEASES = ROOT / "include/releases.yaml"
STATE = Path("/run/fink-testbed")
DATA = Path("/var/lib/fink-testbed")
LOGS = STATE / "logs"
KUBECONFIG = STATE / "kubeconfig"
# For the account that runs streams; its rights: include/kubernetes/airflow-account.yaml.
KUBECONFIG_AIRFLOW = STATE / "kubeconfig-airflow"
# Allowed folder for a form's `fink_source`: a test or a person puts code there.
FINK_CODE = STATE / "code"
DOCKER_SOCKET = STATE / "docker.sock"


def cache() -> Path:
    """Return the folder for builds and downloads that outlive a checkout."""
    if chosen := os.environ.get("FINK_CACHE_DIR"):
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "fink-k8s-airflow"

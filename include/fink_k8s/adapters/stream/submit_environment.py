"""The environment of spark-submit: Java, rights, and files with credentials and pod templates."""

import base64
import binascii
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fink_k8s.adapters.base.cluster import Access, Cluster
from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.preflight.prerequisites import Finding, FindingLevel
from fink_k8s.core.stream.submit_conf import SparkSubmit

RIGHTS_FILE = "include/kubernetes/airflow-spark-submit.yaml"
# All that include/kubernetes/airflow-spark-submit.yaml grants.
SUBMIT_RIGHTS = (
    ("create", "pods"),
    ("create", "services"),
    ("patch", "services"),
    ("create", "configmaps"),
    ("patch", "configmaps"),
    ("create", "networkpolicies.networking.k8s.io"),
    ("patch", "networkpolicies.networking.k8s.io"),
    ("get", "configmaps"),
)
# The variables that the JVM gets from the worker: no connection, key or password of Airflow's,
# and nothing that could change Spark's configuration or the account.
_ENVIRONMENT = (
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "NO_PROXY",
    "PATH",
    "TMPDIR",
    "TZ",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
# The object identifier of elliptic-curve keys, 1.2.840.10045.2.1, in DER.
_ELLIPTIC = bytes.fromhex("2a8648ce3d0201")


@dataclass(frozen=True)
class Prepared:
    """A submission with its files in place: Spark's properties, and the process's environment."""

    master: str
    conf: Mapping[str, str]
    environment: Mapping[str, str]


def check_submit(streams: Cluster, namespace: str) -> Iterator[Finding]:
    """Yield the preflight findings for spark-submit: Java, Airflow's credentials and rights."""
    try:
        make_kubeconfig(streams.access())
    except InvalidRequest as error:
        yield Finding(FindingLevel.ERROR, str(error))
    java = find_java(os.environ)
    yield (
        Finding(FindingLevel.OK, f"spark-submit has Java: {java}")
        if java
        else Finding(
            FindingLevel.ERROR,
            "spark-submit needs Java, but this worker has none",
            "install a JRE (17 for Spark 3.5), set JAVA_HOME, or set submit_with to spark-operator",
        )
    )
    missing = [
        f"{verb} {what}" for verb, what in SUBMIT_RIGHTS if not streams.may_i(verb, what, namespace)
    ]
    yield (
        Finding(
            FindingLevel.ERROR,
            f"Airflow's account may not {', '.join(missing)} in {namespace}",
            f"kubectl apply -f {RIGHTS_FILE}",
        )
        if missing
        else Finding(FindingLevel.OK, "Airflow's account may do what spark-submit does with it")
    )


def find_java(environment: Mapping[str, str]) -> str:
    """Return the path of the `java` that spark-submit will run; empty if there is none."""
    if home := environment.get("JAVA_HOME"):
        path = Path(home) / "bin/java"
        return str(path) if os.access(path, os.X_OK) else ""
    return shutil.which("java", path=environment.get("PATH", os.defpath)) or ""


@contextmanager
def prepared(submit: SparkSubmit, access: Access, home: Path) -> Iterator[Prepared]:
    """Provide pod templates and credentials as files while spark-submit of `home` runs.

    Credentials are in a kubeconfig named by KUBECONFIG: not in an argument, property or log. Only
    this user can read the folder, which is deleted afterwards.

    Raises:
        InvalidRequest: spark-submit cannot use the connection's kind of credentials.
    """
    with tempfile.TemporaryDirectory(prefix="spark-submit-") as folder:
        kubeconfig = _written(Path(folder) / "kubeconfig", make_kubeconfig(access))
        files = {
            key: str(_written(Path(folder) / f"{key}.json", template))
            for key, template in submit.templates.items()
        }
        environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        environment |= {
            "SPARK_HOME": str(home),
            "PATH": f"{home / 'bin'}:{environment.get('PATH', os.defpath)}",
            "KUBECONFIG": str(kubeconfig),
            # The user in the pods; the default would be the worker's user.
            "SPARK_USER": "spark",
        }
        yield Prepared(f"k8s://{access.server}", {**submit.conf, **files}, environment)


def make_kubeconfig(access: Access) -> dict[str, Any]:
    """Return a self-contained kubeconfig of one account.

    Raises:
        InvalidRequest: TLS is not verified, or spark-submit cannot read the kind of key.
    """
    if access.server.startswith("https:") and not access.is_verified:
        raise InvalidRequest(
            "the Kubernetes connection does not verify TLS, but spark-submit always does; add "
            "the cluster's certificate-authority to its kubeconfig"
        )
    cluster, user = {"server": access.server}, {}
    if access.authority:
        cluster["certificate-authority-data"] = _content(access.authority)
    if access.token:
        user["token"] = access.token
    elif access.key:
        if is_elliptic(Path(access.key).read_bytes()):
            raise InvalidRequest(
                "the Kubernetes connection has an elliptic-curve client key, which spark-submit's "
                "Kubernetes client cannot read; use a token: kubectl create token"
            )
        user["client-certificate-data"] = _content(access.certificate)
        user["client-key-data"] = _content(access.key)
    one = "airflow"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": one, "cluster": cluster}],
        "users": [{"name": one, "user": user}],
        "contexts": [{"name": one, "context": {"cluster": one, "user": one}}],
        "current-context": one,
    }


def is_elliptic(pem: bytes) -> bool:
    """Tell whether a private key is an elliptic-curve key, in either of its two formats."""
    if b"-----BEGIN EC PRIVATE KEY-----" in pem:
        return True
    body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-----"))
    try:
        return _ELLIPTIC in base64.b64decode(body)
    except binascii.Error:
        return False


def _content(file: str) -> str:
    return base64.b64encode(Path(file).read_bytes()).decode()


def _written(path: Path, content: Mapping[str, Any]) -> Path:
    """Write JSON, which is also YAML, readable by this user only."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return path

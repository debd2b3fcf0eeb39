"""The kubeflow Spark Operator, installed by its own chart, watching the job namespace only."""

import base64
import json
from pathlib import Path

import yaml

from testbed import pins
from testbed.node import kubectl
from testbed.places import KUBECONFIG, KUBECONFIG_AIRFLOW, ROOT, STATE
from testbed.process import run
from testbed.servers import keys

RELEASE = "spark-operator"


def up(helm: Path, chart: Path, image: str) -> None:
    """Create the job namespace with the store's keys, and install the operator; safe to repeat."""
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(_job_namespace()))
    for part in ("account", "spark-submit"):
        file = ROOT / f"include/kubernetes/airflow-{part}.yaml"
        kubectl("apply", "--server-side", "-f", str(file))
    write_airflow_kubeconfig()
    kubectl("apply", "--server-side", "-f", str(chart / "crds"))
    if _is_installed(image):
        return
    values = STATE / "operator-values.yaml"
    values.write_text(yaml.safe_dump(_values(image)))
    run(
        helm, "upgrade", "--install", RELEASE, chart, "--namespace", pins.OPERATOR_NAMESPACE,
        "--create-namespace", "--skip-crds", "--values", values, "--wait", "--timeout", "5m",
        env={"KUBECONFIG": str(KUBECONFIG)},
    )  # fmt: skip


def write_airflow_kubeconfig() -> None:
    """Write the kubeconfig of Airflow's account, with a token created as users would.

    A client certificate of the testbed's own would not do: its key is an elliptic-curve one, which
    spark-submit's Kubernetes client cannot read.
    """
    token = kubectl("-n", pins.JOB_NAMESPACE, "create", "token", "airflow", "--duration=8760h")
    config = yaml.safe_load(KUBECONFIG.read_text())
    config["users"] = [{"name": "airflow", "user": {"token": token.strip()}}]
    config["contexts"][0]["context"]["user"] = "airflow"
    new = KUBECONFIG_AIRFLOW.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(yaml.safe_dump(config))
    new.replace(KUBECONFIG_AIRFLOW)


def is_ready() -> bool:
    """Tell whether controller and webhook are available."""
    answer = json.loads(kubectl("-n", pins.OPERATOR_NAMESPACE, "get", "deployments", "-o", "json"))
    states = [item["status"].get("availableReplicas", 0) for item in answer["items"]]
    return len(states) == 2 and all(states)


def _is_installed(image: str) -> bool:
    answer = kubectl(
        "-n", pins.OPERATOR_NAMESPACE, "get", "deployments", "--ignore-not-found", "-o", "yaml"
    )
    return image in answer and is_ready()


def _values(image: str) -> dict[str, object]:
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.partition(":")
    # Small requests: the node has two cores, which the streams need.
    resources = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    return {
        "image": {"registry": registry, "repository": repository, "tag": tag},
        "controller": {
            "workers": 2,
            "leaderElection": {"enable": False},
            "resources": resources,
            "uiService": {"enable": True},
        },
        "webhook": {"enable": True, "leaderElection": {"enable": False}, "resources": resources},
        "spark": {
            "jobNamespaces": [pins.JOB_NAMESPACE],
            # The project's own DAG grants the account and rights of the drivers.
            "serviceAccount": {"create": False},
            "rbac": {"create": False},
        },
        "prometheus": {"metrics": {"enable": False}},
    }


def _job_namespace() -> list[dict[str, object]]:
    access, secret = keys()
    data = {"access-key": access, "secret-key": secret}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": pins.JOB_NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": pins.STORE_SECRET, "namespace": pins.JOB_NAMESPACE},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        },
    ]

"""Every Kubernetes object that the project creates, as plain dicts from pure functions."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.base.names import ANNOTATION_SPEC_HASH, labels_of, platform_labels
from fink_k8s.core.config.releases import Flags
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import OWN_MAIN_FILE, Login
from fink_k8s.core.store.claim_store import claim_spec
from fink_k8s.core.store.store_kind import StoreKind
from fink_k8s.core.stream.command_line import arguments_of
from fink_k8s.core.stream.driver_rights import DRIVER_RULES
from fink_k8s.core.stream.form_properties import form_properties
from fink_k8s.core.stream.prometheus import SCRAPED, prometheus_conf
from fink_k8s.core.stream.stream_request import StreamRequest

SPARK_UID = 185
ENFORCE, RESTRICTED = "pod-security.kubernetes.io/enforce", "restricted"
POD_MILLICORES = 300
ROLE = "fink-driver"
# The current batch must be able to end after SIGTERM.
GRACE_SECONDS = 120
# Spark writes only here; the root file system is read-only.
_SCRATCH = {"tmp": "/tmp", "work": "/opt/spark/work-dir", "spark-local-dir-1": "/var/data/spark"}  # noqa: S108
_SPARK_CONF = {
    # The gauges spark.streaming.* show whether the driver has a live query.
    "spark.sql.streaming.metricsEnabled": "true",
    "spark.ui.killEnabled": "false",
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}


def make_namespace(settings: Settings) -> Manifest:
    """Return the streams' namespace, which admits only pods of Pod Security `restricted`."""
    enforce = {ENFORCE: RESTRICTED}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": settings.namespace, "labels": {**platform_labels(), **enforce}},
    }


def make_service_account(settings: Settings) -> Manifest:
    """Return the account of the drivers."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _in_namespace(settings, settings.service_account),
    }


def make_pull_secret(settings: Settings, login: Login) -> Manifest:
    """Return the Secret with which kubelets log in to the registry; only they read it."""
    token = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    config = {"auths": {login.host: {"auth": token}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _in_namespace(settings, settings.image_pull_secret),
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
    }


def make_role(settings: Settings) -> Manifest:
    """Return the namespaced rights of the drivers."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _in_namespace(settings, ROLE),
        "rules": [dict(rule) for rule in DRIVER_RULES],
    }


def make_role_binding(settings: Settings) -> Manifest:
    """Return the binding of the drivers' account to their Role."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _in_namespace(settings, ROLE),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROLE},
        "subjects": [_driver_subject(settings)],
    }


def make_cluster_edit_binding(settings: Settings) -> Manifest:
    """Return the binding from Fink's documentation: ClusterRole `edit` in every namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "spark-role", "labels": platform_labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [_driver_subject(settings)],
    }


def make_claim(settings: Settings, size: str) -> Manifest:
    """Return the claim that the store needs; `size` is a quantity, e.g. `100Gi`."""
    labels = platform_labels() | {"app.kubernetes.io/component": "store"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _in_namespace(settings, settings.store.claim) | {"labels": labels},
        "spec": claim_spec(settings, size),
    }


def make_spark_application(
    request: StreamRequest,
    settings: Settings,
    image: str,
    spark_version: str,
    main_file: str = OWN_MAIN_FILE,
    flags: Flags = Flags.PREFIX,
) -> Manifest:
    """Return the SparkApplication of one night; the same arguments give the same bytes.

    An image without a digest was built in minikube's Docker, so nothing is pulled.

    With the annotation `fink.spec-hash`, a later run can recognize the same stream under the same
    name. `flags` is the generation of Fink's own code in that release.
    """
    store = settings.store
    labels = labels_of(request.survey, request.night)
    spec: Manifest = {
        "type": "Python",
        "pythonVersion": "3",
        "mode": "cluster",
        "image": image,
        "imagePullPolicy": "IfNotPresent" if "@" in image else "Never",
        "sparkVersion": spark_version,
        "mainApplicationFile": f"local://{main_file}",
        "arguments": arguments_of(request, settings, main_file, flags),
        "restartPolicy": {
            "type": "OnFailure",
            "onFailureRetries": 5,
            "onFailureRetryInterval": 10,
            "onSubmissionFailureRetries": 2,
            "onSubmissionFailureRetryInterval": 5,
        },
        "sparkConf": {
            **_SPARK_CONF,
            **store.spark_properties(spark_version),
            **prometheus_conf(spark_version),
            **form_properties(request),
        },
        "volumes": [{"name": name, "emptyDir": {}} for name in _SCRATCH] + store.volumes,
        "driver": {
            **_pod(store, labels),
            "annotations": dict(SCRAPED),
            "cores": 1,
            "coreRequest": f"{POD_MILLICORES}m",
            "memory": request.driver_memory,
            "serviceAccount": settings.service_account,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
        },
        "executor": {
            **_pod(store, labels),
            "instances": request.executors,
            "cores": request.executor_cores,
            "coreRequest": f"{POD_MILLICORES}m",
            "memory": request.executor_memory,
        },
    }
    if settings.image_pull_secret:
        spec["imagePullSecrets"] = [settings.image_pull_secret]
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {
            "name": request.stream,
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": {ANNOTATION_SPEC_HASH: spec_hash(spec)},
        },
        "spec": spec,
    }


def spec_hash(spec: Mapping[str, Any]) -> str:
    """Return the sha256 of a spec's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def canonical_json(spec: Mapping[str, Any]) -> str:
    """Return the canonical JSON text of a spec."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"))


def hash_of(manifest: Mapping[str, Any]) -> str:
    """Return the spec hash of an application or driver; empty if this project did not create it."""
    annotations = manifest["metadata"].get("annotations") or {}
    return str(annotations.get(ANNOTATION_SPEC_HASH, ""))


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return the names of the requested spec's fields that differ, two levels deep, sorted.

    Other fields are the cluster's defaults and do not count.
    """
    found = []
    for name, value in asked.items():
        other = there.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            found += [f"{name}.{key}" for key in value if value[key] != other.get(key)]
        elif name == "arguments" and isinstance(other, list):
            found += _flags_that_differ(other, value)
        elif value != other:
            found.append(name)
    return sorted(found)


def _flags_that_differ(there: list[str], asked: list[str]) -> list[str]:
    before = dict(zip(there[::2], there[1::2], strict=False))
    after = dict(zip(asked[::2], asked[1::2], strict=False))
    flags = before | after
    return [f"argument {flag}" for flag in flags if after.get(flag) != before.get(flag)]


def _pod(store: StoreKind, labels: Mapping[str, str]) -> Manifest:
    """Return the fields common to driver and executor: Pod Security, keys, scratch space."""
    mounts = _SCRATCH | store.mounts
    return {
        "labels": dict(labels),
        **({"env": store.environment} if store.environment else {}),
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
        "podSecurityContext": {
            "runAsNonRoot": True,
            "runAsUser": SPARK_UID,
            "runAsGroup": SPARK_UID,
            "fsGroup": SPARK_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _driver_subject(settings: Settings) -> Manifest:
    return {
        "kind": "ServiceAccount",
        "name": settings.service_account,
        "namespace": settings.namespace,
    }


def _in_namespace(settings: Settings, name: str) -> Manifest:
    return {"name": name, "namespace": settings.namespace, "labels": platform_labels()}

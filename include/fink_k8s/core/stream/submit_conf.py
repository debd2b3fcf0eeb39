"""Translate a SparkApplication for plain spark-submit; pure: from manifest to conf and templates.

`make_spark_application` remains the only description of a stream. Here each field is translated as
the operator and its webhook would: to a Spark property if there is one, otherwise to a place in the
pod templates. A field that is in neither table is refused by name.

Sources: the operator's `submission.go` and `sparkpod_defaulter.go`, and
https://spark.apache.org/docs/latest/running-on-kubernetes.html#configuration
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.version import Version

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.base.names import ANNOTATION_SPEC, ANNOTATION_SPEC_HASH
from fink_k8s.core.base.versions import version_of
from fink_k8s.core.stream import spark_properties as fields
from fink_k8s.core.stream.manifests import canonical_json, hash_of
from fink_k8s.core.stream.restarts import ANNOTATION_RESTARTS
from fink_k8s.core.stream.stream_names import driver_pod_name

# The identity of the stream and of its submitter: set by the project, for both ways to submit.
_RESERVED = (
    "spark.app.name",
    "spark.kubernetes.authenticate.",
    "spark.kubernetes.container.image",
    "spark.kubernetes.context",
    "spark.kubernetes.driver.master",
    "spark.kubernetes.driver.pod.name",
    "spark.kubernetes.driver.podTemplate",
    "spark.kubernetes.executor.podTemplate",
    "spark.kubernetes.namespace",
    "spark.kubernetes.submission.",
    "spark.master",
    "spark.submit.deployMode",
)
# Spark 2.4 has no pod templates; its clusters (Kubernetes 1.15) have no Pod Security to fail.
_LOST_BEFORE_3 = {"podSecurityContext", "securityContext", "terminationGracePeriodSeconds"}
# Spark's Kubernetes client before 3.2 does not know this pod field, and drops it.
_SECCOMP_SINCE = Version("3.2")
_NO_RESTART = "restartPolicy: without the operator, nothing restarts a dead driver"

DRIVER_TEMPLATE = "spark.kubernetes.driver.podTemplateFile"
EXECUTOR_TEMPLATE = "spark.kubernetes.executor.podTemplateFile"
_CONTAINERS = {"driver": "spark-kubernetes-driver", "executor": "spark-kubernetes-executor"}


@dataclass(frozen=True)
class SparkSubmit:
    """The input of spark-submit, without master, credentials and the templates' file names.

    `templates` holds the pod templates by the property that names their file; none for Spark 2.
    `unsaid` lists the fields of the application that have no effect, each with the reason.
    """

    name: str
    application: str
    arguments: tuple[str, ...]
    conf: Mapping[str, str]
    templates: Mapping[str, Manifest]
    unsaid: tuple[str, ...]


def spark_submit_from(manifest: Mapping[str, Any]) -> SparkSubmit:
    """Return what spark-submit needs to start the stream that a SparkApplication describes.

    Raises:
        InvalidRequest: a field cannot be expressed for spark-submit; the message names it.
    """
    spec, metadata = manifest["spec"], manifest["metadata"]
    name = metadata["name"]
    check_spark_conf(spec)
    conf = {
        "spark.kubernetes.namespace": metadata["namespace"],
        "spark.kubernetes.driver.pod.name": driver_pod_name(name),
        "spark.kubernetes.submission.waitAppCompletion": "false",
    }
    conf |= _conf_of_application(spec)
    labels = metadata.get("labels") or {}
    driver = _Pod("driver", spec.get("volumes") or ()).say(spec["driver"], labels)
    executor = _Pod("executor", spec.get("volumes") or ()).say(spec["executor"], labels)
    conf |= driver.conf | executor.conf
    conf[f"spark.kubernetes.driver.annotation.{ANNOTATION_SPEC_HASH}"] = hash_of(manifest)
    unsaid = [_NO_RESTART] if "restartPolicy" in spec else []
    told = (metadata.get("annotations") or {}).get(ANNOTATION_RESTARTS)
    notes = {ANNOTATION_RESTARTS: told} if told else {}
    templates = {}
    if version_of(spec["sparkVersion"]) < Version("3.0"):
        unsaid += _unsaid_before_3([*driver.templated, *executor.templated])
        conf |= {f"spark.kubernetes.driver.annotation.{key}": text for key, text in notes.items()}
    else:
        if not meets_restricted(spec["sparkVersion"]):
            unsaid.append("seccompProfile: this Spark's Kubernetes client does not support it")
        # With the whole spec, a later run can tell what differs from its own.
        annotations = {ANNOTATION_SPEC: canonical_json(spec), **notes}
        templates = {
            DRIVER_TEMPLATE: {**driver.template(), "metadata": {"annotations": annotations}},
            EXECUTOR_TEMPLATE: executor.template(),
        }
        for role, container in _CONTAINERS.items():
            conf[f"spark.kubernetes.{role}.podTemplateContainerName"] = container
    return SparkSubmit(
        name=name,
        application=spec["mainApplicationFile"],
        arguments=tuple(spec.get("arguments") or ()),
        conf=conf,
        templates=templates,
        unsaid=tuple(unsaid),
    )


def meets_restricted(spark_version: str) -> bool:
    """Tell whether pods that this Spark creates can meet Pod Security `restricted`."""
    return version_of(spark_version) >= _SECCOMP_SINCE


def check_spark_conf(spec: Mapping[str, Any]) -> None:
    """Check that `sparkConf` sets no property that the project sets itself.

    The operator would silently override some of them, and spark-submit would use them; neither is
    wanted.

    Raises:
        InvalidRequest: it does; the message names the key.
    """
    for key in spec.get("sparkConf") or ():
        for own in _RESERVED:
            if key == own or (key.startswith(own) and own.endswith((".", "podTemplate"))):
                raise InvalidRequest(
                    f"sparkConf {key} is not allowed: name, account, image and pods come from the "
                    "request and the settings; remove it"
                )


def _conf_of_application(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties that are not specific to driver or executor."""
    conf = {}
    for key, value in spec.items():
        if key in fields.PROPERTIES:
            conf[fields.PROPERTIES[key]] = fields.property_text(value)
        elif key in fields.PROPERTY_FAMILIES:
            conf |= _family(fields.PROPERTY_FAMILIES[key], value)
        elif key == "deps":
            for kind, items in value.items():
                _known(f"deps.{kind}", kind in fields.DEPENDENCIES)
                conf[fields.DEPENDENCIES[kind]] = fields.property_text(items)
        elif key in {"type", "mode"}:
            wanted = {"type": "Python", "mode": "cluster"}[key]
            _known(f"{key} {value}", value == wanted)
        elif key not in _SAID_ELSEWHERE:
            _known(key, False)
    return conf


_SAID_ELSEWHERE = {
    "arguments",
    "driver",
    "executor",
    "mainApplicationFile",
    "restartPolicy",
    "sparkVersion",
    "volumes",
}


@dataclass
class _Pod:
    """Driver or executor: its properties, and a pod template for the rest."""

    role: str
    volumes: Iterable[Mapping[str, Any]]
    conf: dict[str, str] = field(default_factory=dict)
    pod: Manifest = field(default_factory=dict)
    container: Manifest = field(default_factory=dict)
    sidecars: list[Manifest] = field(default_factory=list)
    templated: list[str] = field(default_factory=list)

    def say(self, spec: Mapping[str, Any], labels: Mapping[str, str]) -> "_Pod":
        """Translate each field of `spec`; the application's `labels` also apply to the pod."""
        only = fields.EXECUTOR_PROPERTIES if self.role == "executor" else {}
        families = fields.POD_FAMILIES | (fields.DRIVER_FAMILIES if self.role == "driver" else {})
        for key, value in {**spec, "labels": {**labels, **(spec.get("labels") or {})}}.items():
            if template := ({**fields.POD_PROPERTIES, **only}).get(key):
                self.conf[template.format(role=self.role)] = fields.property_text(value)
            elif key in families:
                self.conf |= _family(families[key].format(role=self.role), value)
            elif key == "envVars":
                self.conf |= _family(fields.ENVIRONMENT[self.role], value)
            elif key == "env":
                self._say_environment(value)
            elif key == "volumeMounts":
                self._say_volumes(value)
            elif key == "sidecars":
                self._into(self.sidecars, key, value)
            elif key in fields.OF_THE_POD:
                self.pod[fields.OF_THE_POD[key]] = value
                self.templated.append(f"{self.role}.{key}")
            elif key in fields.OF_THE_CONTAINER:
                self.container[key] = value
                self.templated.append(f"{self.role}.{key}")
            else:
                _known(f"{self.role}.{key}", False)
        return self

    def template(self) -> Manifest:
        """Return the pod template that Spark completes."""
        container = {"name": _CONTAINERS[self.role], **self.container}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "spec": {**self.pod, "containers": [container, *self.sidecars]},
        }

    def _say_environment(self, variables: Iterable[Mapping[str, Any]]) -> None:
        for variable in variables:
            name = variable["name"]
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if variable.keys() == {"name", "value"}:
                self.conf[f"{fields.ENVIRONMENT[self.role]}{name}"] = variable["value"]
            elif reference.keys() == {"name", "key"}:
                key = f"spark.kubernetes.{self.role}.secretKeyRef.{name}"
                self.conf[key] = f"{reference['name']}:{reference['key']}"
            else:
                self._into(self.container.setdefault("env", []), f"env {name}", [variable])

    def _say_volumes(self, mounts: list[Mapping[str, Any]]) -> None:
        by_name = {volume["name"]: volume for volume in self.volumes}
        names = [mount["name"] for mount in mounts]
        for mount in mounts:
            name = mount["name"]
            if name not in by_name:
                raise InvalidRequest(
                    f"{self.role}.volumeMounts {name} names no volume; add the volume to volumes"
                )
            volume = by_name[name]
            if names.count(name) == 1 and _has_properties(volume, mount):
                self.conf |= _conf_of_volume(self.role, volume, mount)
                continue
            _known(f"volume {name} of this kind", not name.startswith(fields.SCRATCH))
            self._into(self.container.setdefault("volumeMounts", []), f"volume {name}", [mount])
            if volume not in self.pod.setdefault("volumes", []):
                self.pod["volumes"].append(volume)

    def _into(self, place: list[Any], what: str, values: Iterable[Any]) -> None:
        place += values
        self.templated.append(f"{self.role}.{what}")


def _has_properties(volume: Mapping[str, Any], mount: Mapping[str, Any]) -> bool:
    """Tell whether Spark's own properties can express a volume and its mount completely."""
    sources = volume.keys() - {"name"}
    if len(sources) != 1 or not mount.keys() <= fields.MOUNT_FIELDS:
        return False
    [source] = sources
    options = fields.VOLUME_OPTIONS.get(source)
    return options is not None and volume[source].keys() <= options


def _conf_of_volume(
    role: str, volume: Mapping[str, Any], mount: Mapping[str, Any]
) -> dict[str, str]:
    [source] = volume.keys() - {"name"}
    prefix = f"spark.kubernetes.{role}.volumes.{source}.{volume['name']}."
    conf = {f"{prefix}mount.path": mount["mountPath"]}
    if "subPath" in mount:
        conf[f"{prefix}mount.subPath"] = mount["subPath"]
    if "readOnly" in mount:
        conf[f"{prefix}mount.readOnly"] = fields.property_text(mount["readOnly"])
    return conf | _family(f"{prefix}options.", volume[source])


def _unsaid_before_3(templated: Iterable[str]) -> list[str]:
    unsaid = []
    for name in templated:
        lost = name.partition(".")[2] in _LOST_BEFORE_3
        _known(f"{name} with Spark 2, which has no pod templates,", lost)
        unsaid.append(f"{name}: Spark 2 has no pod templates")
    return unsaid


def _family(prefix: str, values: Mapping[str, Any] | None) -> dict[str, str]:
    return {f"{prefix}{key}": fields.property_text(value) for key, value in (values or {}).items()}


def _known(what: str, is_known: bool) -> None:
    if not is_known:
        raise InvalidRequest(
            f"{what} cannot be expressed for spark-submit; remove it, or set submit_with to "
            "spark-operator"
        )

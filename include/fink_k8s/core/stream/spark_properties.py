"""The Spark property, or the place in a pod template, for each field of a SparkApplication.

Together with `submit_conf.py`, these tables cover all fields that plain spark-submit supports; any
other field is refused by name.
"""

from typing import Any

# A field of the spec that is one property of Spark, or the beginning of several.
PROPERTIES = {
    "image": "spark.kubernetes.container.image",
    "imagePullPolicy": "spark.kubernetes.container.image.pullPolicy",
    "imagePullSecrets": "spark.kubernetes.container.image.pullSecrets",
    "memoryOverheadFactor": "spark.kubernetes.memoryOverheadFactor",
    "pythonVersion": "spark.kubernetes.pyspark.pythonVersion",
}
PROPERTY_FAMILIES = {
    "hadoopConf": "spark.hadoop.",
    "nodeSelector": "spark.kubernetes.node.selector.",
    "sparkConf": "",
}
DEPENDENCIES = {
    "archives": "spark.archives",
    "excludePackages": "spark.jars.excludes",
    "files": "spark.files",
    "jars": "spark.jars",
    "packages": "spark.jars.packages",
    "pyFiles": "spark.submit.pyFiles",
    "repositories": "spark.jars.repositories",
}
# The same for driver and executor; `{role}` is which of them.
POD_PROPERTIES = {
    "coreLimit": "spark.kubernetes.{role}.limit.cores",
    "coreRequest": "spark.kubernetes.{role}.request.cores",
    "cores": "spark.{role}.cores",
    "image": "spark.kubernetes.{role}.container.image",
    "javaOptions": "spark.{role}.extraJavaOptions",
    "memory": "spark.{role}.memory",
    "memoryOverhead": "spark.{role}.memoryOverhead",
    "serviceAccount": "spark.kubernetes.authenticate.{role}.serviceAccountName",
}
EXECUTOR_PROPERTIES = {
    "deleteOnTermination": "spark.kubernetes.executor.deleteOnTermination",
    "instances": "spark.executor.instances",
}
POD_FAMILIES = {
    "annotations": "spark.kubernetes.{role}.annotation.",
    "labels": "spark.kubernetes.{role}.label.",
}
DRIVER_FAMILIES = {
    "serviceAnnotations": "spark.kubernetes.driver.service.annotation.",
    "serviceLabels": "spark.kubernetes.driver.service.label.",
}
ENVIRONMENT = {"driver": "spark.kubernetes.driverEnv.", "executor": "spark.executorEnv."}
# What the operator's webhook puts into pods stands in the templates: of the pod, of its container.
OF_THE_POD = {
    "affinity": "affinity",
    "dnsConfig": "dnsConfig",
    "hostAliases": "hostAliases",
    "initContainers": "initContainers",
    "nodeSelector": "nodeSelector",
    "podSecurityContext": "securityContext",
    "priorityClassName": "priorityClassName",
    "schedulerName": "schedulerName",
    "shareProcessNamespace": "shareProcessNamespace",
    "terminationGracePeriodSeconds": "terminationGracePeriodSeconds",
    "tolerations": "tolerations",
}
OF_THE_CONTAINER = ("envFrom", "lifecycle", "ports", "securityContext")
# The sources of volumes that Spark has properties for, and which of their fields.
VOLUME_OPTIONS = {
    "emptyDir": {"medium", "sizeLimit"},
    "hostPath": {"path"},
    "nfs": {"path", "server"},
    "persistentVolumeClaim": {"claimName"},
}
MOUNT_FIELDS = {"mountPath", "name", "readOnly", "subPath"}
# Spark knows its scratch space by this name, and only where its properties tell of it.
SCRATCH = "spark-local-dir-"


def property_text(value: Any) -> str:
    """Return a value as Spark's properties write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)

"""A SparkApplication said to spark-submit: nothing lost, nothing unknown passed over."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream import spark_properties as fields
from fink_k8s.core.stream import submit_conf
from fink_k8s.core.stream.manifests import make_spark_application, spec_hash
from fink_k8s.core.stream.restarts import ANNOTATION_RESTARTS
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.core.stream.submit_conf import (
    DRIVER_TEMPLATE,
    EXECUTOR_TEMPLATE,
    check_spark_conf,
    meets_restricted,
    spark_submit_from,
)

STREAM = "stream2raw-ztf-20250101"
SETTINGS = Settings(namespace="spark", kafka_servers="kafka:9092", store_prefix="s3a://fink")
REQUEST = StreamRequest(night="20250101", topic="alerts", executors=3, driver_memory="900m")


def manifest_with(spark="3.5.7", driver=(), executor=(), **spec):
    manifest = make_spark_application(REQUEST, SETTINGS, "registry/fink@sha256:1", spark)
    manifest["spec"] |= spec
    manifest["spec"]["driver"] |= dict(driver)
    manifest["spec"]["executor"] |= dict(executor)
    return manifest


@pytest.mark.parametrize("spark", ["2.4.4", "3.5.7"])
def test_the_restarts_so_far_are_told_to_the_new_driver(spark):
    manifest = manifest_with(spark)
    manifest["metadata"]["annotations"][ANNOTATION_RESTARTS] = '[{"cause": "a=b"}]'
    said = spark_submit_from(manifest)
    template = said.templates.get(DRIVER_TEMPLATE, {"metadata": {"annotations": {}}})
    key = f"spark.kubernetes.driver.annotation.{ANNOTATION_RESTARTS}"
    told = template["metadata"]["annotations"].get(ANNOTATION_RESTARTS) or said.conf.get(key)
    assert told == '[{"cause": "a=b"}]'


def mount(volume, spark="3.5.7", **fields):
    """Return what becomes of one volume that the driver mounts."""
    mounts = [{"name": volume["name"], "mountPath": "/data", **fields}]
    said = spark_submit_from(
        manifest_with(spark, volumes=[volume], driver={"volumeMounts": mounts},
                      executor={"volumeMounts": []})
    )  # fmt: skip
    prefix = "spark.kubernetes.driver.volumes."
    conf = {key[len(prefix) :]: value for key, value in said.conf.items() if prefix in key}
    return conf, said.templates.get(DRIVER_TEMPLATE, {}).get("spec", {})


def test_the_stream_s_own_manifest_is_said_whole():
    manifest = manifest_with()
    said = spark_submit_from(manifest)
    spec = manifest["spec"]
    assert (said.name, said.application) == (STREAM, spec["mainApplicationFile"])
    assert list(said.arguments) == spec["arguments"]
    assert spec["sparkConf"].items() <= said.conf.items()
    expected = {
        "spark.kubernetes.namespace": "spark",
        "spark.kubernetes.driver.pod.name": f"{STREAM}-driver",
        "spark.kubernetes.submission.waitAppCompletion": "false",
        "spark.kubernetes.container.image": "registry/fink@sha256:1",
        "spark.kubernetes.container.image.pullPolicy": "IfNotPresent",
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
        "spark.driver.cores": "1",
        "spark.driver.memory": "900m",
        "spark.executor.instances": "3",
        "spark.kubernetes.driver.request.cores": "300m",
        "spark.kubernetes.executor.request.cores": "300m",
        "spark.kubernetes.driver.label.fink.night": "20250101",
        "spark.kubernetes.executor.label.fink.night": "20250101",
        "spark.kubernetes.driver.secretKeyRef.AWS_SECRET_ACCESS_KEY": "fink-store:secret-key",
        "spark.kubernetes.executor.secretKeyRef.AWS_ACCESS_KEY_ID": "fink-store:access-key",
        "spark.kubernetes.driver.volumes.emptyDir.tmp.mount.path": "/tmp",
        "spark.kubernetes.driver.volumes.emptyDir.spark-local-dir-1.mount.path": "/var/data/spark",
        "spark.kubernetes.driver.annotation.fink.spec-hash": spec_hash(spec),
    }
    assert expected.items() <= said.conf.items()
    driver, executor = said.templates[DRIVER_TEMPLATE], said.templates[EXECUTOR_TEMPLATE]
    for template, role in ((driver, "driver"), (executor, "executor")):
        pod = template["spec"]
        [container] = pod["containers"]
        assert container["name"] == f"spark-kubernetes-{role}"
        assert container["name"] == said.conf[f"spark.kubernetes.{role}.podTemplateContainerName"]
        assert container["securityContext"] == spec[role]["securityContext"]
        assert pod["securityContext"] == spec[role]["podSecurityContext"]
    assert driver["spec"]["terminationGracePeriodSeconds"] == 120
    assert json.loads(driver["metadata"]["annotations"]["fink.spec"]) == spec
    [reason] = said.unsaid
    assert reason.startswith("restartPolicy")


@pytest.mark.parametrize(
    ("fields", "conf"),
    [
        ({"imagePullSecrets": ["a", "b"]}, {"spark.kubernetes.container.image.pullSecrets": "a,b"}),
        ({"imagePullPolicy": "Never"}, {"spark.kubernetes.container.image.pullPolicy": "Never"}),
        ({"hadoopConf": {"fs.x": "1"}}, {"spark.hadoop.fs.x": "1"}),
        ({"nodeSelector": {"disk": "ssd"}}, {"spark.kubernetes.node.selector.disk": "ssd"}),
        ({"deps": {"jars": ["local:///a.jar", "local:///b.jar"]}},
         {"spark.jars": "local:///a.jar,local:///b.jar"}),
        ({"driver": {"annotations": {"prometheus.io/scrape": "true"}}},
         {"spark.kubernetes.driver.annotation.prometheus.io/scrape": "true"}),
        ({"driver": {"serviceLabels": {"a": "b"}}},
         {"spark.kubernetes.driver.service.label.a": "b"}),
        ({"driver": {"env": [{"name": "A", "value": "b=c"}]}},
         {"spark.kubernetes.driverEnv.A": "b=c"}),
        ({"executor": {"envVars": {"A": "b"}}}, {"spark.executorEnv.A": "b"}),
        ({"executor": {"deleteOnTermination": False}},
         {"spark.kubernetes.executor.deleteOnTermination": "false"}),
        ({"executor": {"memoryOverhead": "1g"}}, {"spark.executor.memoryOverhead": "1g"}),
    ],
)  # fmt: skip
def test_what_spark_has_a_property_for_is_said_by_it(fields, conf):
    assert conf.items() <= spark_submit_from(manifest_with(**fields)).conf.items()


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("tolerations", [{"key": "night"}], "tolerations"),
        ("affinity", {"nodeAffinity": {}}, "affinity"),
        ("hostAliases", [{"ip": "10.0.0.1"}], "hostAliases"),
        ("priorityClassName", "streams", "priorityClassName"),
    ],
)
@pytest.mark.parametrize("role", ["driver", "executor"])
def test_what_the_webhook_puts_into_a_pod_stands_in_its_template(role, key, value, place):
    said = spark_submit_from(manifest_with(**{role: {key: value}}))
    pod = said.templates[f"spark.kubernetes.{role}.podTemplateFile"]["spec"]
    assert pod[place] == value


@pytest.mark.parametrize("key", ["lifecycle", "envFrom", "ports"])
def test_what_the_webhook_puts_into_a_container_stands_in_its_template(key):
    said = spark_submit_from(manifest_with(driver={key: ["value"]}))
    [container] = said.templates[DRIVER_TEMPLATE]["spec"]["containers"]
    assert container[key] == ["value"]


def test_a_sidecar_and_a_variable_from_elsewhere_stand_in_the_template():
    variable = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    sidecar = {"name": "tail", "image": "busybox"}
    said = spark_submit_from(manifest_with(driver={"env": [variable], "sidecars": [sidecar]}))
    driver, other = said.templates[DRIVER_TEMPLATE]["spec"]["containers"]
    assert driver["env"] == [variable]
    assert other == sidecar


@pytest.mark.parametrize(
    ("volume", "fields", "conf"),
    [
        ({"name": "v", "emptyDir": {}}, {}, {"emptyDir.v.mount.path": "/data"}),
        (
            {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            {"readOnly": True},
            {
                "emptyDir.v.mount.path": "/data",
                "emptyDir.v.mount.readOnly": "true",
                "emptyDir.v.options.medium": "Memory",
                "emptyDir.v.options.sizeLimit": "1Gi",
            },
        ),
        (
            {"name": "raw", "persistentVolumeClaim": {"claimName": "fink-raw"}},
            {"subPath": "night"},
            {
                "persistentVolumeClaim.raw.mount.path": "/data",
                "persistentVolumeClaim.raw.mount.subPath": "night",
                "persistentVolumeClaim.raw.options.claimName": "fink-raw",
            },
        ),
    ],
)
def test_a_volume_of_spark_s_own_kinds_is_said_by_properties(volume, fields, conf):
    assert mount(volume, **fields)[0] == conf


@pytest.mark.parametrize(
    ("volume", "fields"),
    [
        ({"name": "v", "configMap": {"name": "conf"}}, {}),
        ({"name": "v", "secret": {"secretName": "keys"}}, {"readOnly": True}),
        ({"name": "v", "hostPath": {"path": "/x", "type": "Directory"}}, {}),
        ({"name": "v", "emptyDir": {}}, {"mountPropagation": "None"}),
    ],
)
def test_any_other_volume_stands_in_the_template(volume, fields):
    conf, pod = mount(volume, **fields)
    assert conf == {}
    assert pod["volumes"] == [volume]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "v", "mountPath": "/data", **fields}]


def test_a_volume_that_is_mounted_twice_is_one_volume_of_the_template():
    mounts = [{"name": "tmp", "mountPath": path} for path in ("/a", "/b")]
    said = spark_submit_from(manifest_with(driver={"volumeMounts": mounts}))
    pod = said.templates[DRIVER_TEMPLATE]["spec"]
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert pod["containers"][0]["volumeMounts"] == mounts


def test_a_mount_without_volume_is_refused():
    with pytest.raises(
        InvalidRequest, match=r"driver.volumeMounts nothing .*add the volume to volumes"
    ):
        spark_submit_from(
            manifest_with(driver={"volumeMounts": [{"name": "nothing", "mountPath": "/x"}]})
        )


# Every field of the operator's v1beta2 that is in neither table, as its types have it.
UNSAYABLE = [
    "batchScheduler",
    "batchSchedulerOptions",
    "driverIngressOptions",
    "dynamicAllocation",
    "failureRetries",
    "hadoopConfigMap",
    "mainClass",
    "monitoring",
    "proxyUser",
    "retryInterval",
    "sparkConfigMap",
    "sparkUIOptions",
    "suspend",
    "timeToLiveSeconds",
]
UNSAYABLE_OF_PODS = [
    "configMaps",
    "envSecretKeyRefs",
    "gpu",
    "hostNetwork",
    "memoryLimit",
    "kubernetesMaster",
    "podName",
    "secrets",
    "template",
]
SAID = {
    *fields.PROPERTIES,
    *fields.PROPERTY_FAMILIES,
    *submit_conf._SAID_ELSEWHERE,
    *("deps", "mode", "type"),
}
SAID_OF_PODS = {
    *fields.POD_PROPERTIES,
    *fields.EXECUTOR_PROPERTIES,
    *fields.POD_FAMILIES,
    *fields.DRIVER_FAMILIES,
    *fields.OF_THE_POD,
    *fields.OF_THE_CONTAINER,
    *("env", "envVars", "sidecars", "volumeMounts"),
}


@pytest.mark.parametrize("key", UNSAYABLE)
def test_a_field_of_the_application_that_cannot_be_said_is_refused_by_name(key):
    with pytest.raises(InvalidRequest, match=f"^{key} cannot be expressed .*set submit_with to"):
        spark_submit_from(manifest_with(**{key: "x"}))


@pytest.mark.parametrize("key", UNSAYABLE_OF_PODS)
@pytest.mark.parametrize("role", ["driver", "executor"])
def test_a_field_of_a_pod_that_cannot_be_said_is_refused_by_name(role, key):
    with pytest.raises(InvalidRequest, match=f"^{role}.{key} cannot be expressed"):
        spark_submit_from(manifest_with(**{role: {key: "x"}}))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"type": "Scala"}, "type Scala"),
        ({"mode": "client"}, "mode client"),
        ({"deps": {"ivy": []}}, "deps.ivy"),
        ({"driver": {"instances": 2}}, "driver.instances"),
        ({"executor": {"serviceLabels": {}}}, "executor.serviceLabels"),
        (
            {"volumes": [{"name": "spark-local-dir-1", "configMap": {}}]}
            | {role: {"volumeMounts": [{"name": "spark-local-dir-1", "mountPath": "/x"}]}
               for role in ("driver", "executor")},
            "volume spark-local-dir-1",
        ),
    ],
)  # fmt: skip
def test_what_only_the_operator_understands_is_refused_by_name(fields, name):
    with pytest.raises(
        InvalidRequest, match=f"^{name} .*cannot be expressed|^{name} cannot be expressed"
    ):
        spark_submit_from(manifest_with(**fields))


@given(st.text(max_size=30), st.sampled_from(["", "driver", "executor"]))
def test_what_the_tables_do_not_know_is_refused_by_name(key, part):
    assume(key not in SAID | SAID_OF_PODS)
    fields = {part: {key: "x"}} if part else {key: "x"}
    with pytest.raises(InvalidRequest) as refused:
        spark_submit_from(manifest_with(**fields) if key.isidentifier() else with_odd(key, part))
    named = f"{part}.{key}" if part else key
    assert str(refused.value).startswith(" ".join(f"{named} cannot be expressed for".split()))


def with_odd(key, part):
    """Return a manifest with a field that no Python name can give."""
    manifest = manifest_with()
    (manifest["spec"][part] if part else manifest["spec"])[key] = "x"
    return manifest


@pytest.mark.parametrize(
    "key",
    [
        "spark.kubernetes.driver.pod.name",
        "spark.kubernetes.driver.podTemplateFile",
        "spark.kubernetes.executor.podTemplateContainerName",
        "spark.kubernetes.authenticate.submission.oauthToken",
        "spark.kubernetes.authenticate.driver.serviceAccountName",
        "spark.kubernetes.submission.waitAppCompletion",
        "spark.kubernetes.container.image",
        "spark.kubernetes.namespace",
        "spark.kubernetes.context",
        "spark.submit.deployMode",
        "spark.master",
        "spark.app.name",
    ],
)
def test_spark_conf_may_not_say_who_the_stream_is(key):
    with pytest.raises(InvalidRequest, match=f"^sparkConf {key} is not allowed"):
        check_spark_conf({"sparkConf": {key: "x"}})


def test_spark_conf_may_say_the_rest():
    check_spark_conf({"sparkConf": {"spark.kubernetes.driver.pod.featureSteps": "a.B"}})
    check_spark_conf({"sparkConf": {"spark.ui.prometheus.enabled": "true"}})
    check_spark_conf(manifest_with()["spec"])
    check_spark_conf({})


@pytest.mark.parametrize(
    ("spark", "meets"), [("2.4.4", False), ("3.1.3", False), ("3.2.0", True), ("4.2.0", True)]
)
def test_pods_of_an_old_spark_do_not_meet_restricted_by_themselves(spark, meets):
    """Spark 3.1.3 was tried: the API server refuses its driver for want of a seccompProfile."""
    assert meets_restricted(spark) is meets
    unsaid = spark_submit_from(manifest_with(spark)).unsaid
    assert any("seccompProfile" in one or "securityContext" in one for one in unsaid) is not meets


def test_spark_2_has_properties_only_and_says_what_is_lost():
    said = spark_submit_from(manifest_with("2.4.4"))
    assert said.templates == {}
    assert not any("podTemplate" in key for key in said.conf)
    assert "spark.kubernetes.driver.volumes.emptyDir.tmp.mount.path" in said.conf
    assert "spark.kubernetes.driver.secretKeyRef.AWS_ACCESS_KEY_ID" in said.conf
    lost = [reason.partition(":")[0] for reason in said.unsaid]
    assert lost == [
        "restartPolicy",
        "driver.podSecurityContext",
        "driver.securityContext",
        "driver.terminationGracePeriodSeconds",
        "executor.podSecurityContext",
        "executor.securityContext",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"driver": {"tolerations": []}},
        {"driver": {"sidecars": [{"name": "x"}]}},
        {"executor": {"env": [{"name": "X", "valueFrom": {"fieldRef": {}}}]}},
    ],
)
def test_spark_2_is_refused_what_would_change_the_stream(fields):
    with pytest.raises(InvalidRequest, match="Spark 2, which has no pod templates"):
        spark_submit_from(manifest_with("2.4.4", **fields))
    with pytest.raises(InvalidRequest, match="Spark 2, which has no pod templates"):
        mount({"name": "v", "configMap": {"name": "c"}}, "2.4.4")


def test_the_tables_and_the_refusals_are_all_that_the_operator_knows():
    """`SparkApplicationSpec` of v1beta2 has 32 fields, its two pods together 42."""
    assert SAID.isdisjoint(UNSAYABLE)
    assert len(SAID) + len(UNSAYABLE) == 32
    assert SAID_OF_PODS.isdisjoint(UNSAYABLE_OF_PODS)
    assert len(SAID_OF_PODS) + len(UNSAYABLE_OF_PODS) == 42

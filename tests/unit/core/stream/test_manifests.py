import base64
import copy
import json
import os

import pytest

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.stream import manifests
from fink_k8s.core.stream.driver_rights import DRIVER_RULES
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.core.stream.submit_conf import spark_submit_from

PLATFORM = {
    "app.kubernetes.io/name": "stream2raw",
    "app.kubernetes.io/component": "access",
    "app.kubernetes.io/part-of": "fink",
    "app.kubernetes.io/managed-by": "airflow",
}
ACCOUNT = {"kind": "ServiceAccount", "name": "ingest", "namespace": "streams"}
IMAGE = "registry:5000/fink/stream2raw@sha256:" + "a" * 64
REQUEST = {"night": "20240101", "topic": "ztf_public_20240101"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in os.environ:
        if name.startswith("FINK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings():
    return settings_of()


def settings_of(**fields):
    defaults = {
        "namespace": "streams",
        "service_account": "ingest",
        "kafka_servers": "kafka:9092",
        "store_prefix": "s3a://fink",
        "store_endpoint": "http://s3:7070",
        "store_secret": "keys",
    }
    return Settings(**{**defaults, **fields})


def application(settings, **fields):
    request = StreamRequest(**{**REQUEST, **fields})
    return manifests.make_spark_application(request, settings, IMAGE, "3.5.7")


def flags(manifest):
    words = manifest["spec"]["arguments"]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_namespace_admits_restricted_pods_only(settings):
    assert manifests.make_namespace(settings) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "streams",
            "labels": {**PLATFORM, "pod-security.kubernetes.io/enforce": "restricted"},
        },
    }


def test_the_account_of_the_drivers(settings):
    assert manifests.make_service_account(settings) == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "ingest", "namespace": "streams", "labels": PLATFORM},
    }


def test_the_role_holds_the_drivers_rules(settings):
    assert manifests.make_role(settings) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "fink-driver", "namespace": "streams", "labels": PLATFORM},
        "rules": list(DRIVER_RULES),
    }


def test_the_binding_gives_the_role_to_the_account(settings):
    assert manifests.make_role_binding(settings) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "fink-driver", "namespace": "streams", "labels": PLATFORM},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "fink-driver",
        },
        "subjects": [ACCOUNT],
    }


def test_the_binding_of_finks_document_is_cluster_wide(settings):
    assert manifests.make_cluster_edit_binding(settings) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "spark-role", "labels": PLATFORM},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "edit",
        },
        "subjects": [ACCOUNT],
    }


def test_an_application_is_named_labelled_and_hashed(settings):
    made = application(settings)
    assert (made["apiVersion"], made["kind"]) == (
        "sparkoperator.k8s.io/v1beta2",
        "SparkApplication",
    )
    metadata = made["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("stream2raw-ztf-20240101", "streams")
    assert metadata["labels"]["fink.night"] == "20240101"
    assert metadata["labels"]["fink.survey"] == "ztf"
    assert metadata["annotations"] == {"fink.spec-hash": manifests.spec_hash(made["spec"])}
    assert manifests.hash_of(made) == manifests.spec_hash(made["spec"])


def test_an_application_runs_the_image_and_spark_it_is_given(settings):
    spec = application(settings)["spec"]
    assert (spec["image"], spec["sparkVersion"]) == (IMAGE, "3.5.7")
    assert (spec["type"], spec["mode"]) == ("Python", "cluster")
    assert spec["mainApplicationFile"].startswith("local:///")
    assert spec["restartPolicy"]["type"] == "OnFailure"


def test_the_job_is_told_what_the_form_says(settings):
    made = application(
        settings,
        topic="ztf.public",
        starting_offsets="latest",
        trigger_interval_s=7,
        max_offsets_per_trigger=123,
        stop_after_hours=1 / 6,
    )
    assert flags(made) == {
        "-servers": "kafka:9092",
        "-topic": "^ztf[.]public$",
        "-startingoffsets_stream": "latest",
        "-online_data_prefix": "s3a://fink",
        "-night": "20240101",
        "-producer": "ztf",
        "-tinterval": "7",
        "-max_offsets_per_trigger": "123",
        "-exit_after": "600",
        "-schema": "/opt/fink/stream2raw/schemas/ztf_3p3.avsc",
        "-log_level": "INFO",
        "-spark_log_level": "WARN",
    }


def test_the_pods_have_the_size_that_the_form_says(settings):
    spec = application(
        settings, executors=3, executor_cores=2, driver_memory="900m", executor_memory="2g"
    )["spec"]
    assert spec["driver"]["memory"] == "900m"
    executor = spec["executor"]
    assert (executor["instances"], executor["cores"], executor["memory"]) == (3, 2, "2g")


def test_the_driver_has_the_account_and_time_to_end(settings):
    spec = application(settings)["spec"]
    assert spec["driver"]["serviceAccount"] == "ingest"
    assert spec["driver"]["terminationGracePeriodSeconds"] >= 90
    assert "serviceAccount" not in spec["executor"]


def test_the_same_request_gives_the_same_bytes():
    one, two = (json.dumps(application(settings_of())) for _ in range(2))
    assert one == two


def test_applications_share_no_mutable_part(settings):
    first = application(settings)
    untouched = copy.deepcopy(first)
    second = application(settings)
    second["spec"]["driver"]["env"].clear()
    second["spec"]["driver"]["labels"].clear()
    second["spec"]["executor"]["securityContext"].clear()
    assert first == untouched
    assert second["spec"]["executor"]["labels"]


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_every_pod_satisfies_pod_security_restricted(settings, role):
    spec = application(settings)["spec"]
    pod = spec[role]["podSecurityContext"]
    container = spec[role]["securityContext"]
    for context in (pod, container):
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["runAsUser"] > 0
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["readOnlyRootFilesystem"] is True
    assert not {"privileged", "hostNetwork", "hostPID", "hostIPC"} & {*spec[role], *container}
    assert all(set(volume) == {"name", "emptyDir"} for volume in spec["volumes"])


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_a_read_only_pod_has_scratch_where_spark_writes(settings, role):
    spec = application(settings)["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in spec[role]["volumeMounts"]}
    assert {"/tmp", "/opt/spark/work-dir"} < set(mounts)
    assert set(mounts.values()) == {volume["name"] for volume in spec["volumes"]}
    # Spark takes volumes of this prefix alone as its local directories.
    assert any(name.startswith("spark-local-dir-") for name in mounts.values())


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_keys_come_from_the_secret_alone(settings, role):
    env = application(settings)["spec"][role]["env"]
    assert env == [
        {
            "name": "AWS_ACCESS_KEY_ID",
            "valueFrom": {"secretKeyRef": {"name": "keys", "key": "access-key"}},
        },
        {
            "name": "AWS_SECRET_ACCESS_KEY",
            "valueFrom": {"secretKeyRef": {"name": "keys", "key": "secret-key"}},
        },
    ]


def test_no_secret_is_in_conf_or_arguments(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHUNTER2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    made = application(settings_of())
    assert "hunter2" not in json.dumps(made).lower()
    conf = made["spec"]["sparkConf"]
    assert not [key for key in conf if key.endswith((".access.key", ".secret.key", ".password"))]
    words = " ".join([*conf, *conf.values(), *made["spec"]["arguments"]])
    assert "secret-key" not in words


def test_sparks_own_ports_are_closed_to_strangers(settings):
    conf = application(settings)["spec"]["sparkConf"]
    assert conf["spark.authenticate"] == "true"
    assert conf["spark.network.crypto.enabled"] == "true"
    assert conf["spark.ui.killEnabled"] == "false"


def test_the_query_tells_that_it_lives(settings):
    conf = application(settings)["spec"]["sparkConf"]
    assert conf["spark.sql.streaming.metricsEnabled"] == "true"


@pytest.mark.parametrize(
    ("endpoint", "ssl"),
    [("http://s3:7070", "false"), ("https://s3:7070", "true"), ("", "true")],
)
def test_an_s3_store_is_spoken_to_as_its_endpoint_asks(endpoint, ssl):
    conf = application(settings_of(store_endpoint=endpoint))["spec"]["sparkConf"]
    assert conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] == ssl
    assert conf.get("spark.hadoop.fs.s3a.endpoint", "") == endpoint


STORES = {"hdfs://namenode:8020/fink": "hdfs://namenode:8020/fink",
          "pvc://fink-raw/ztf": "file:///var/lib/fink/ztf"}  # fmt: skip


@pytest.mark.parametrize(("prefix", "given"), STORES.items())
def test_another_store_needs_nothing_of_s3(prefix, given):
    made = application(settings_of(store_prefix=prefix))
    assert flags(made)["-online_data_prefix"] == given
    spec = made["spec"]
    assert not [key for key in spec["sparkConf"] if "s3a" in key]
    assert not {"env"} & {*spec["driver"], *spec["executor"]}
    assert "secret" not in json.dumps(spec).lower()


def test_a_claim_is_mounted_at_one_path_in_driver_and_executors():
    spec = application(settings_of(store_prefix="pvc://fink-raw/ztf"))["spec"]
    scratch = application(settings_of(store_prefix="hdfs://namenode/fink"))["spec"]
    assert spec["volumes"] == [
        *scratch["volumes"],
        {"name": "store", "persistentVolumeClaim": {"claimName": "fink-raw"}},
    ]
    for role in ("driver", "executor"):
        assert spec[role]["volumeMounts"] == [
            *scratch[role]["volumeMounts"],
            {"name": "store", "mountPath": "/var/lib/fink"},
        ]
        assert spec[role]["podSecurityContext"]["fsGroup"] == 185


def test_spark_submit_is_told_of_the_claim_and_of_prometheus_as_well():
    conf = spark_submit_from(application(settings_of(store_prefix="pvc://fink-raw/ztf"))).conf
    for role in ("driver", "executor"):
        store = f"spark.kubernetes.{role}.volumes.persistentVolumeClaim.store"
        assert conf[f"{store}.options.claimName"] == "fink-raw"
        assert conf[f"{store}.mount.path"] == "/var/lib/fink"
    annotation = "spark.kubernetes.driver.annotation.prometheus.io"
    assert conf[f"{annotation}/path"] == "/metrics/prometheus/"
    sink = "spark.metrics.conf.driver.sink.prometheusServlet.path"
    assert conf[sink] == "/metrics/prometheus"


def test_a_claim_is_what_the_installation_says():
    settings = settings_of(
        store_prefix="pvc://fink-raw/ztf", claim_class="nfs", claim_access_mode="ReadWriteOnce"
    )
    assert manifests.make_claim(settings, "20Gi") == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "fink-raw",
            "namespace": "streams",
            "labels": {**PLATFORM, "app.kubernetes.io/component": "store"},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "nfs",
        },
    }


def test_a_claim_of_the_clusters_default_class_names_none():
    claim = manifests.make_claim(settings_of(store_prefix="pvc://fink-raw"), "1Ti")
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Ti"}},
    }


def test_the_driver_is_annotated_for_prometheus_and_the_executors_are_not(settings):
    spec = application(settings)["spec"]
    assert spec["driver"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics/prometheus/",
        "prometheus.io/port": "4040",
    }
    assert "annotations" not in spec["executor"]


def test_all_conf_is_text(settings):
    conf = application(settings)["spec"]["sparkConf"]
    assert all(type(value) is str for value in conf.values())


@pytest.mark.parametrize("fields", [{"night": ""}, {"topic": ""}])
def test_a_request_that_is_not_filled_in_makes_no_application(settings, fields):
    with pytest.raises(InvalidRequest):
        application(settings, **fields)


def test_a_hash_does_not_depend_on_the_order_of_keys():
    assert manifests.spec_hash({"a": 1, "b": {"c": 2, "d": 3}}) == manifests.spec_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


CHANGES = [
    ({"executors": 2}, {}, "executor.instances"),
    ({"driver_memory": "2g"}, {}, "driver.memory"),
    ({"executor_cores": 2}, {}, "executor.cores"),
    ({"topic": "other"}, {}, "argument -topic"),
    ({"starting_offsets": "latest"}, {}, "argument -startingoffsets_stream"),
    ({"stop_after_hours": 1}, {}, "argument -exit_after"),
    ({}, {"kafka_servers": "other:9092"}, "argument -servers"),
    ({}, {"store_prefix": "s3a://other"}, "argument -online_data_prefix"),
    ({}, {"store_endpoint": "http://o:1"}, "sparkConf.spark.hadoop.fs.s3a.endpoint"),
    ({}, {"service_account": "other"}, "driver.serviceAccount"),
]


@pytest.mark.parametrize(("fields", "configured", "name"), CHANGES)
def test_another_spec_has_another_hash_and_its_difference_a_name(
    settings, fields, configured, name
):
    there = application(settings)
    asked = application(settings_of(**configured), **fields)
    assert manifests.hash_of(there) != manifests.hash_of(asked)
    assert manifests.differences(there["spec"], asked["spec"]) == [name]


def test_all_differences_are_named_and_sorted(settings):
    there = application(settings)["spec"]
    asked = application(settings, executors=2, driver_memory="2g", trigger_interval_s=3)["spec"]
    assert manifests.differences(there, asked) == [
        "argument -tinterval",
        "driver.memory",
        "executor.instances",
    ]


def test_another_image_differs(settings):
    there = application(settings)["spec"]
    assert manifests.differences(there, {**there, "image": "other:1"}) == ["image"]


def test_what_the_cluster_adds_by_itself_is_no_difference(settings):
    asked = application(settings)["spec"]
    there = copy.deepcopy(asked)
    there["failureRetries"] = 3
    there["driver"]["lifecycle"] = {}
    assert manifests.differences(there, asked) == []


@pytest.mark.parametrize("lost", ["driver", "image", "sparkConf", "arguments"])
def test_a_part_that_is_not_there_differs(settings, lost):
    asked = application(settings)["spec"]
    there = {name: value for name, value in asked.items() if name != lost}
    assert manifests.differences(there, asked) == [lost]


@pytest.mark.parametrize(
    "metadata", [{}, {"annotations": None}, {"annotations": {"other": "annotation"}}]
)
def test_an_application_of_other_hands_has_no_hash(metadata):
    assert manifests.hash_of({"metadata": metadata}) == ""


def test_the_pull_secret_is_what_a_kubelet_reads():
    secret = manifests.make_pull_secret(
        settings_of(image_pull_secret="fink-registry"), Login("registry:5000", "fink", "canary")
    )
    config = base64.b64decode(secret["data"][".dockerconfigjson"])
    assert json.loads(config) == {"auths": {"registry:5000": {"auth": "ZmluazpjYW5hcnk="}}}
    assert {key: secret[key] for key in ("kind", "type", "metadata")} == {
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "fink-registry", "namespace": "streams", "labels": PLATFORM},
    }


def test_a_stream_names_the_pull_secret_and_never_its_content():
    spec = application(settings_of(image_pull_secret="fink-registry"))["spec"]
    assert spec["imagePullSecrets"] == ["fink-registry"]
    assert "imagePullSecrets" not in application(settings_of())["spec"]


@pytest.mark.parametrize(
    ("image", "policy"), [(IMAGE, "IfNotPresent"), ("fink/stream2raw:job-0a1b", "Never")]
)
def test_an_image_without_digest_is_minikubes_own_and_never_pulled(settings, image, policy):
    request = StreamRequest(**REQUEST)
    spec = manifests.make_spark_application(request, settings, image, "3.5.7")["spec"]
    assert (spec["image"], spec["imagePullPolicy"]) == (image, policy)


def test_the_program_is_the_images(settings):
    request = StreamRequest(**REQUEST)
    arguments = (request, settings, IMAGE, "3.5.7", "/opt/fink/bin/stream2raw.py")
    spec = manifests.make_spark_application(*arguments)["spec"]
    assert spec["mainApplicationFile"] == "local:///opt/fink/bin/stream2raw.py"


def conf_of(spark_version, **fields):
    request = StreamRequest(**REQUEST)
    made = manifests.make_spark_application(request, settings_of(**fields), IMAGE, spark_version)
    return made["spec"]["sparkConf"]


def test_the_store_s_region_is_signed_for():
    region = "spark.hadoop.fs.s3a.endpoint.region"
    assert conf_of("4.2.0", store_region="eu-west-3")[region] == "eu-west-3"
    assert region not in conf_of("4.2.0", store_prefix="hdfs://name:8020/fink")


def test_a_hadoop_that_cannot_keep_directory_markers_deletes_them_one_by_one():
    bulk = "spark.hadoop.fs.s3a.multiobjectdelete.enable"
    assert conf_of("3.1.3")[bulk] == "false"
    assert bulk not in conf_of("3.5.7")


def test_the_oldest_release_renders_for_its_cluster(matrix):
    spec = manifests.make_spark_application(
        StreamRequest(**REQUEST, schema_file="schemas/ztf.avro"),
        settings_of(store_prefix="hdfs://name:8020/fink"),
        IMAGE,
        "2.4.4",
        "/opt/fink/bin/stream2raw.py",
        matrix.get("0.7.0_2.4.4").flags,
    )["spec"]
    assert spec["sparkVersion"] == "2.4.4"
    assert "hdfs://name:8020/fink/raw/20240101" in spec["arguments"]
    assert not any(key.startswith("spark.hadoop.fs.s3a") for key in spec["sparkConf"])

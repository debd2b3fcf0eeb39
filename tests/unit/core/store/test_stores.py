import pytest

from fink_k8s.core.store.claim_store import CLAIM_MOUNT, ClaimStore, mount_from
from fink_k8s.core.store.hdfs_store import HdfsStore
from fink_k8s.core.store.s3_store import S3Store
from fink_k8s.core.store.stores import (
    StoreSettings,
    prefix_below,
    store_address_from,
    store_of,
)


def store_at(prefix, **settings):
    return store_of(StoreSettings(store_prefix=prefix, **settings))


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [
        ("s3a://fink", "s3a://fink"),
        ("s3a://fink/", "s3a://fink"),
        ("s3a://fink/a/year=2026", "s3a://fink/a/year=2026"),
        ("hdfs://namenode:8020/user/fink", "hdfs://namenode:8020/user/fink"),
        ("hdfs://nameservice/fink/", "hdfs://nameservice/fink"),
        ("pvc://fink-raw", "pvc://fink-raw"),
        ("pvc://fink-raw/ztf/", "pvc://fink-raw/ztf"),
    ],
)
def test_a_stores_prefix_is_kept_without_last_slash(prefix, kept):
    assert store_address_from(prefix) == kept
    assert str(store_at(prefix)) == kept


@pytest.mark.parametrize(
    ("prefix", "rule"),
    [
        ("", "must begin with s3a://, hdfs:// or pvc://"),
        ("fink", "must begin with"),
        ("/data/fink", "must begin with"),
        ("file:///data", "must begin with"),
        ("s3://fink", "must begin with"),
        ("s3a://user:password@fink", "put keys into the Kubernetes Secret"),
        ("s3a://user@fink", "put keys into the Kubernetes Secret"),
        ("s3a://", "no '..'"),
        ("s3a:///fink", "no '..'"),
        ("s3a://fink/..", "no '..'"),
        ("s3a://fink/../other", "no '..'"),
        ("s3a://fink//a", "no '..'"),
        ("s3a://fink/a b", "no '..'"),
        ("s3a://fink/$(id)", "no '..'"),
        ("s3a://fink/%2e%2e", "no '..'"),
        ("s3a://fink?x=1", "no '..'"),
        ("s3a://fink#part", "no '..'"),
        ("s3a://fink\n", "no '..'"),
        (" s3a://fink", "must begin"),
        ("s3a://fi\nnk", "must be"),
        ("s3a://fink/a\tb", "must be"),
        ("s3a://fink?", "must be"),
        ("s3a://fink#", "must be"),
        ("S3A://fink", "must begin"),
        ("s3a://fink:7070/a", "bucket, without a port"),
        ("hdfs://namenode:0/fink", "port from 1 to 65535"),
        ("hdfs://namenode:65536/fink", "port from 1 to 65535"),
        ("hdfs://namenode:/fink", "no '..'"),
        ("hdfs://fink@namenode/fink", "put keys into"),
        ("hdfs:///fink", "no '..'"),
        ("hdfs://namenode/../fink", "no '..'"),
        ("pvc://", "no '..'"),
        ("pvc:///data", "no '..'"),
        ("pvc://Fink", "lower-case letters"),
        ("pvc://fink.raw", "lower-case letters"),
        ("pvc://fink-", "lower-case letters"),
        ("pvc://fink:1/a", "lower-case letters"),
        ("pvc://" + "a" * 64, "at most 63"),
        ("pvc://fink/../other", "no '..'"),
        ("pvc://fink/a b", "no '..'"),
    ],
)
def test_another_prefix_is_refused_with_the_rule(prefix, rule):
    with pytest.raises(ValueError, match=rule):
        store_address_from(prefix)


@pytest.mark.parametrize(
    ("part", "address"),
    [
        ("", "s3a://fink/a"),
        ("lsst", "s3a://fink/a/lsst"),
        ("lsst/b/", "s3a://fink/a/lsst/b"),
        ("pvc://raw/lsst/", "pvc://raw/lsst"),
    ],
)
def test_a_part_is_a_folder_below_a_prefix_or_an_address(part, address):
    assert prefix_below("s3a://fink/a/", part) == address


@pytest.mark.parametrize(
    ("part", "rule"),
    [("/lsst", "begins with a slash"), ("../b", "no '..'"), ("file:///b", "must begin with")],
)
def test_another_part_is_refused_with_the_rule(part, rule):
    with pytest.raises(ValueError, match=rule):
        prefix_below("s3a://fink", part)


def test_a_prefix_that_nobody_checked_is_refused_as_well():
    unchecked = StoreSettings().model_copy(update={"store_prefix": "file:///data"})
    with pytest.raises(ValueError, match="must begin with s3a://, hdfs:// or pvc://"):
        store_of(unchecked)


@pytest.mark.parametrize(
    ("prefix", "kind", "host", "path"),
    [
        ("s3a://fink", S3Store, "fink", ""),
        ("hdfs://namenode:8020/user/fink", HdfsStore, "namenode:8020", "/user/fink"),
        ("pvc://fink-raw/ztf/", ClaimStore, "fink-raw", "/ztf"),
    ],
)
def test_an_address_has_parts(prefix, kind, host, path):
    store = store_at(prefix)
    assert (type(store), store.host, store.path) == (kind, host, path)


@pytest.mark.shows("docs/from-the-command-line.md#paths")
@pytest.mark.parametrize(
    ("prefix", "url", "claim", "has_keys"),
    [
        ("s3a://fink/ztf", "s3a://fink/ztf", "", True),
        ("hdfs://namenode:8020/fink", "hdfs://namenode:8020/fink", "", False),
        ("pvc://fink-raw", f"file://{CLAIM_MOUNT}", "fink-raw", False),
        ("pvc://fink-raw/ztf/a", f"file://{CLAIM_MOUNT}/ztf/a", "fink-raw", False),
    ],
)
def test_the_job_is_given_an_address_that_spark_knows(prefix, url, claim, has_keys):
    store = store_at(prefix)
    assert (store.url, store.claim, store.has_keys) == (url, claim, has_keys)


def from_secret(variable, key):
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": "keys", "key": key}}}


@pytest.mark.parametrize(
    ("prefix", "properties", "environment", "volumes", "mounts"),
    [
        (
            "s3a://fink/ztf",
            {
                "spark.hadoop.fs.s3a.path.style.access": "true",
                "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
                "spark.hadoop.fs.s3a.directory.marker.retention": "keep",
                "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
                "spark.hadoop.fs.s3a.aws.credentials.provider": (
                    "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"
                ),
                "spark.hadoop.fs.s3a.endpoint": "http://s3:7070",
            },
            [
                from_secret("AWS_ACCESS_KEY_ID", "access-key"),
                from_secret("AWS_SECRET_ACCESS_KEY", "secret-key"),
            ],
            [],
            {},
        ),
        ("hdfs://namenode:8020/fink", {}, [], [], {}),
        (
            "pvc://fink-raw/ztf",
            {},
            [],
            [{"name": "store", "persistentVolumeClaim": {"claimName": "fink-raw"}}],
            {"store": "/var/lib/fink"},
        ),
    ],
)
def test_each_kind_says_what_pods_need(prefix, properties, environment, volumes, mounts):
    store = store_at(prefix, store_endpoint="http://s3:7070", store_secret="keys")
    assert store.spark_properties("3.5.7") == properties
    assert (store.environment, store.volumes, store.mounts) == (environment, volumes, mounts)


@pytest.mark.parametrize(
    ("prefix", "root", "top", "server", "missing", "has_owners"),
    [
        ("s3a://fink", "fink", "fink", "http://s3:7070", "bucket fink; create it", False),
        ("s3a://fink/ztf", "fink/ztf", "fink", "http://s3:7070", "bucket fink; create it", False),
        ("hdfs://name:8020/fink", "/fink", "/", "", "folder /; check FINK_STORE_PREFIX", True),
        ("hdfs://name", "/", "/", "", "folder /; check FINK_STORE_PREFIX", True),
        ("pvc://raw", "/mnt", "/mnt", "/mnt", "folder /mnt; set FINK_STORE_MOUNT", True),
        ("pvc://raw/ztf", "/mnt/ztf", "/mnt", "/mnt", "folder /mnt; set FINK_STORE_MOUNT", True),
    ],
)
def test_each_kind_says_where_airflow_looks(prefix, root, top, server, missing, has_owners):
    store = store_at(prefix, store_endpoint="http://s3:7070", store_mount="/mnt")
    assert (store.root, store.top, store.server) == (root, top, server)
    assert store.missing_top.startswith(missing)
    assert store.has_owners is has_owners


def test_a_claim_at_the_workers_root_is_a_store():
    store = store_at("pvc://raw/ztf", store_mount="/")
    assert (store.root, store.top) == ("/ztf", "/")


def test_a_store_shows_no_settings():
    assert "keys" not in repr(store_at("s3a://fink", store_secret="keys"))


@pytest.mark.parametrize(
    ("path", "kept"), [("/mnt/fink", "/mnt/fink"), ("/mnt/fink/", "/mnt/fink"), ("/", "/")]
)
def test_a_mount_is_an_absolute_path(path, kept):
    assert mount_from(path) == kept


@pytest.mark.parametrize(
    "path", ["", "mnt", "./mnt", "/mnt/../etc", "/mnt fink", "//mnt", "/mnt\n", "file:///mnt"]
)
def test_another_mount_is_refused_with_an_example(path):
    with pytest.raises(ValueError, match=r"e\.g\. /mnt/fink"):
        mount_from(path)

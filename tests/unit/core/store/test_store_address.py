import pytest

from fink_k8s.core.store.store_address import CLAIM_MOUNT, Scheme, mount_from, store_address_from


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
    assert str(store_address_from(prefix)) == kept


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
        ("s3a://fink:7070/a", "bucket, without port"),
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


def test_an_address_has_parts():
    address = store_address_from("hdfs://namenode:8020/user/fink")
    assert (address.scheme, address.host, address.path) == (
        Scheme.HDFS,
        "namenode:8020",
        "/user/fink",
    )


@pytest.mark.shows("docs/from-the-command-line.md#paths")
@pytest.mark.parametrize(
    ("prefix", "url", "claim", "is_s3"),
    [
        ("s3a://fink/ztf", "s3a://fink/ztf", "", True),
        ("hdfs://namenode:8020/fink", "hdfs://namenode:8020/fink", "", False),
        ("pvc://fink-raw", f"file://{CLAIM_MOUNT}", "fink-raw", False),
        ("pvc://fink-raw/ztf/a", f"file://{CLAIM_MOUNT}/ztf/a", "fink-raw", False),
    ],
)
def test_the_job_is_given_an_address_that_spark_knows(prefix, url, claim, is_s3):
    address = store_address_from(prefix)
    assert (address.url, address.claim, address.is_s3) == (url, claim, is_s3)


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

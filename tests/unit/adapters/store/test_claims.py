import pytest

from fink_k8s.adapters.store.claims import ensure_claim, is_smaller
from fink_k8s.core.base.errors import Conflict, InvalidRequest
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.manifests import make_claim
from tests.fakes import FakeCluster

SETTINGS = Settings(namespace="spark", store_prefix="pvc://raw/ztf")


def test_a_claim_is_made_once():
    cluster, said = FakeCluster(), []
    assert ensure_claim(cluster, SETTINGS, "10Gi", said.append) is True
    assert ensure_claim(cluster, SETTINGS, "10Gi", said.append) is False
    assert said == [
        "PersistentVolumeClaim raw: applied",
        "PersistentVolumeClaim raw: unchanged",
    ]
    assert list(cluster.objects.values()) == [make_claim(SETTINGS, "10Gi")]


def test_a_claim_of_other_hands_is_left_as_it_is():
    theirs = make_claim(SETTINGS, "20Gi")
    theirs["spec"]["accessModes"] = ["ReadWriteOnce"]
    theirs["metadata"]["labels"] = {}
    cluster = FakeCluster(theirs)
    assert ensure_claim(cluster, SETTINGS, "10Gi", print) is False
    assert list(cluster.objects.values()) == [theirs]


def test_a_smaller_claim_is_a_conflict_and_is_left_as_it_is():
    theirs = make_claim(SETTINGS, "5Gi")
    cluster = FakeCluster(theirs)
    with pytest.raises(Conflict, match=r"claim raw has 5Gi, 10Gi is asked for.*edit pvc raw"):
        ensure_claim(cluster, SETTINGS, "10Gi", print)
    assert list(cluster.objects.values()) == [theirs]


@pytest.mark.parametrize(
    ("capacity", "asked", "smaller"),
    [("10Gi", "10Gi", False), ("10Gi", "9Gi", False), ("10Gi", "11Gi", True), (None, "11Gi", True),
     ("1Ti", "1000Gi", False), ("10G", "10Gi", True)],
)  # fmt: skip
def test_a_claim_is_smaller_by_what_it_has_or_else_asks_for(capacity, asked, smaller):
    there = make_claim(SETTINGS, "10Gi")
    there["status"] = {"capacity": {"storage": capacity}} if capacity else {}
    assert is_smaller(there, asked) is smaller


@pytest.mark.parametrize("prefix", ["s3a://fink", "hdfs://namenode/fink"])
def test_a_store_without_claim_has_none_to_make(prefix):
    cluster = FakeCluster()
    with pytest.raises(InvalidRequest, match="create_claim is set, but the store is"):
        ensure_claim(cluster, Settings(store_prefix=prefix), "10Gi", print)
    assert not cluster.objects

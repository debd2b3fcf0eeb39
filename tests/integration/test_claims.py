"""The store's claim against a real API server: made once, bound, and left as it is."""

import time

import pytest

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.store.claims import ensure_claim
from fink_k8s.core.base.errors import Conflict
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.preflight.claim_checks import CLAIM_KIND, check_claim
from fink_k8s.core.preflight.prerequisites import FindingLevel
from fink_k8s.core.store.claim_store import AccessMode
from tests.long.claims import claim_named, delete_claim, volume

pytestmark = pytest.mark.testbed

CLAIM = "integration-claim"


@pytest.fixture
def cluster(kubernetes):
    return Cluster(kubernetes)


@pytest.fixture
def settings():
    changed = {"store_prefix": f"pvc://{CLAIM}", "claim_access_mode": AccessMode.READ_WRITE_ONCE}
    return load_settings().model_copy(update=changed)


def findings(cluster, settings, size=None):
    there = cluster.find(CLAIM_KIND, CLAIM, settings.namespace)
    return list(check_claim(settings, there, cluster.storage_classes(), 1, size))


def test_a_claim_is_made_once_bound_and_left_as_it_is(cluster, settings):
    (missing,) = findings(cluster, settings)
    assert missing.text == f"claim {CLAIM} is not in namespace {settings.namespace}"
    with volume(CLAIM):
        said = []
        changed = [ensure_claim(cluster, settings, "1Gi", said.append) for _ in range(2)]
        assert (changed, said[1]) == ([True, False], f"{CLAIM_KIND} {CLAIM}: unchanged")
        wait_until_bound()
        before = claim_named(CLAIM)
        assert before["spec"]["accessModes"] == ["ReadWriteOnce"]
        (bound,) = findings(cluster, settings, "1Gi")
        assert (bound.level, bound.text) == (FindingLevel.OK, f"claim {CLAIM} is bound: 2Gi")
        with pytest.raises(Conflict, match="has 2Gi, 3Gi is asked for"):
            ensure_claim(cluster, settings, "3Gi", said.append)
        assert claim_named(CLAIM) == before


def test_a_claim_that_nobody_provides_is_named(cluster, settings):
    nobody = settings.model_copy(update={"claim_class": "nobody"})
    (unknown,) = findings(cluster, nobody, "1Gi")
    assert unknown.level is FindingLevel.ERROR
    ensure_claim(cluster, nobody, "1Gi", print)
    try:
        (pending,) = findings(cluster, nobody)
    finally:
        delete_claim(CLAIM)
    assert pending.level is FindingLevel.ERROR
    assert "is not bound: no volume fits it, or nobody provides one of class nobody" in pending.text


def wait_until_bound():
    deadline = time.monotonic() + 30
    while claim_named(CLAIM)["status"]["phase"] != "Bound":
        assert time.monotonic() < deadline, claim_named(CLAIM)
        time.sleep(0.2)

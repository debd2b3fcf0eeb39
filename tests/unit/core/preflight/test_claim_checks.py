import pytest

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.preflight.claim_checks import check_claim, too_small
from fink_k8s.core.preflight.prerequisites import FindingLevel
from fink_k8s.core.store.claim_store import AccessMode
from fink_k8s.core.stream.manifests import make_claim

SETTINGS = Settings(namespace="streams", store_prefix="pvc://raw/ztf")


def claim(phase="Bound", modes=("ReadWriteMany",), size="10Gi", capacity=None, **spec):
    made = make_claim(SETTINGS, size)
    made["spec"] |= {"accessModes": list(modes), **spec}
    made["status"] = {"phase": phase}
    if capacity:
        made["status"]["capacity"] = {"storage": capacity}
    return made


def storage_class(name, mode="Immediate", default=False):
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "volumeBindingMode": mode}


def findings(there, *, settings=SETTINGS, classes=(), nodes=3, size=None):
    return list(check_claim(settings, there, classes, nodes, size))


def told(found):
    return [(one.level, str(one)) for one in found]


def test_a_bound_claim_of_many_nodes_is_all_that_is_needed():
    (only,) = findings(claim(capacity="12Gi"))
    assert told([only]) == [(FindingLevel.OK, "ok: claim raw is bound: 12Gi")]


def test_a_missing_claim_is_an_error_with_both_remedies():
    (only,) = findings(None)
    assert only.level is FindingLevel.ERROR
    assert only.text == "claim raw is not in namespace streams"
    assert only.remedy == "create it, or trigger with create_claim; FINK_STORE_PREFIX sets its name"


@pytest.mark.parametrize(
    ("classes", "wanted", "level", "words"),
    [
        ([storage_class("std", default=True)], "", FindingLevel.OK, "20Gi, class std"),
        ([storage_class("std"), storage_class("nfs")], "nfs", FindingLevel.OK, "20Gi, class nfs"),
        ([storage_class("std")], "", FindingLevel.WARNING, "no default storage class"),
        ([], "", FindingLevel.WARNING, "no default storage class"),
        (
            [storage_class("std", default=True)],
            "nfs",
            FindingLevel.ERROR,
            "FINK_CLAIM_CLASS to one of",
        ),
        ([], "nfs", FindingLevel.ERROR, "which the cluster does not have"),
    ],
)
def test_a_claim_that_will_be_made_needs_somebody_who_provides_it(classes, wanted, level, words):
    settings = SETTINGS.model_copy(update={"claim_class": wanted})
    (only,) = findings(None, settings=settings, classes=classes, size="20Gi")
    assert only.level is level
    assert words in str(only)


def test_a_claim_that_waits_for_its_first_pod_is_well():
    classes = [storage_class("local", "WaitForFirstConsumer")]
    (only,) = findings(claim("Pending", storageClassName="local"), classes=classes)
    assert told([only]) == [
        (FindingLevel.OK, "ok: claim raw will be bound when the first pod uses it")
    ]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"storageClassName": "nfs"}, "class nfs"),
        ({"storageClassName": ""}, "(none)"),
        ({}, "(none)"),
    ],
)
def test_a_claim_that_nobody_provides_is_an_error(spec, words):
    (only,) = findings(claim("Pending", **spec), classes=[storage_class("nfs")])
    assert only.level is FindingLevel.ERROR
    assert words in only.text
    assert only.remedy == "see kubectl -n streams describe pvc raw"


def test_a_claim_whose_volume_is_gone_is_an_error():
    (only,) = findings(claim("Lost"))
    assert (only.level, only.text) == (FindingLevel.ERROR, "claim raw is Lost: its volume is gone")


def test_a_claim_that_is_being_deleted_is_an_error():
    there = claim()
    there["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    (only,) = findings(there)
    assert (only.level, only.text) == (FindingLevel.ERROR, "claim raw is being deleted")


@pytest.mark.parametrize("capacity", ["10G", None])
def test_a_claim_that_is_too_small_is_named_with_what_it_has(capacity):
    found = too_small(claim(capacity=capacity), "11Gi")
    assert found.level is FindingLevel.ERROR
    assert f"has {capacity or '10Gi'}, but the form requests 11Gi" in found.text
    assert "kubectl -n streams edit pvc raw" in found.remedy


def test_nobody_asks_for_a_size_where_no_claim_is_to_be_made():
    assert len(findings(claim(size="1Mi"))) == 1


def test_one_node_may_share_a_claim_of_one_node():
    assert [one.level for one in findings(claim(modes=["ReadWriteOnce"]), nodes=1)] == [
        FindingLevel.OK
    ]


@pytest.mark.parametrize("there", [claim(modes=["ReadWriteOnce"]), None])
def test_several_nodes_need_a_claim_of_many(there):
    settings = SETTINGS.model_copy(update={"claim_access_mode": AccessMode.READ_WRITE_ONCE})
    found = findings(there, settings=settings, nodes=2, size="1Gi")[-1]
    assert found.level is FindingLevel.WARNING
    assert "2 nodes take pods" in found.text
    assert "ReadWriteMany" in found.remedy


@pytest.mark.parametrize("modes", [["ReadWriteOncePod"], ["ReadOnlyMany"], []])
def test_a_claim_that_only_one_pod_may_write_to_is_an_error(modes):
    found = findings(claim(modes=modes), nodes=1)[-1]
    assert found.level is FindingLevel.ERROR
    assert "driver and executors all write to it" in found.text

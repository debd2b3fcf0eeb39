import pytest

from fink_k8s.core.stream.driver_rights import (
    DENIED_TO_DRIVER,
    DRIVER_RULES,
    EDIT_IN_CLUSTER,
    allowed_to_driver,
)

# What Spark's driver does: its executors' pods, their conf, its own service, claims at the end.
NEEDED = [
    ("create", "pods"),
    ("watch", "pods"),
    ("delete", "pods"),
    ("deletecollection", "pods"),
    ("create", "configmaps"),
    ("deletecollection", "configmaps"),
    ("create", "services"),
    ("list", "persistentvolumeclaims"),
    ("deletecollection", "persistentvolumeclaims"),
]


@pytest.mark.parametrize("right", NEEDED)
def test_the_driver_may_do_what_spark_does(right):
    assert right in allowed_to_driver()


def test_every_rule_is_told_verb_by_verb():
    assert len(allowed_to_driver()) == sum(len(rule["verbs"]) for rule in DRIVER_RULES)
    assert len(set(allowed_to_driver())) == len(allowed_to_driver())


def test_nothing_is_granted_by_a_wildcard_or_outside_the_core_group():
    for rule in DRIVER_RULES:
        assert rule["apiGroups"] == [""]
        assert "*" not in [*rule["resources"], *rule["verbs"]]


@pytest.mark.parametrize("right", [*DENIED_TO_DRIVER, *EDIT_IN_CLUSTER[1:]])
def test_what_is_denied_is_not_granted(right):
    assert right not in allowed_to_driver()


@pytest.mark.parametrize(
    "resource", ["secrets", "pods/exec", "rolebindings.rbac.authorization.k8s.io", "nodes"]
)
def test_the_proof_asks_for_each_danger(resource):
    assert resource in {denied for _, denied in DENIED_TO_DRIVER}

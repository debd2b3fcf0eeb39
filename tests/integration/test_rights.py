"""What the accounts may do on a real API server, and what they may not."""

import re
from uuid import uuid4

import pytest
from kubernetes import config

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stream.rights import ensure_rights, prove_rights
from fink_k8s.core.base.errors import NotPermitted, Refused
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.stream_request import RbacMode

pytestmark = pytest.mark.testbed


@pytest.fixture
def settings():
    """Return settings with a namespace that no test has used: one takes long to go."""
    return Settings(namespace=f"rights-{uuid4().hex[:8]}")


@pytest.fixture
def cluster(kubernetes, settings):
    cluster = Cluster(kubernetes)
    yield cluster
    cluster.delete("ClusterRoleBinding", "spark-role")
    cluster.delete("Namespace", settings.namespace)


@pytest.fixture
def said():
    return []


@pytest.mark.shows("docs/from-the-command-line.md#rights")
def test_least_privilege_is_granted_proved_and_left_alone_the_second_time(cluster, settings, said):
    made = ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append)
    assert made == [
        f"Namespace {settings.namespace}",
        "ServiceAccount spark",
        "Role fink-driver",
        "RoleBinding fink-driver",
    ]
    asked = prove_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append)
    assert asked > 20
    [line] = [line for line in said if line.startswith("the API server confirms: ")]
    granted, denied = map(int, re.findall(r"\d+", line))
    assert (granted + denied, granted > 0, denied > 0) == (asked, True, True)
    assert ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append) == []
    namespace = cluster.find("Namespace", settings.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_right_that_is_taken_away_is_found(cluster, settings, said):
    ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append)
    cluster.delete("RoleBinding", "fink-driver", settings.namespace)
    # Which one is asked for first after the authorizer has heard of it, is chance.
    with pytest.raises(NotPermitted, match=r"may not \w+ \w+ in namespace"):
        prove_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append)


@pytest.mark.shows("docs/from-the-command-line.md#rights")
def test_cluster_edit_on_request_is_too_much_for_least_privilege(cluster, settings, said):
    ensure_rights(cluster, settings, RbacMode.CLUSTER_EDIT, said.append)
    assert any("warning" in line for line in said)
    prove_rights(cluster, settings, RbacMode.CLUSTER_EDIT, said.append)
    with pytest.raises(Refused, match="secrets"):
        prove_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append)
    assert ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append) == [
        "ClusterRoleBinding spark-role"
    ]
    prove_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append)


def test_the_account_that_runs_streams_is_denied_all_else(environment, settings):
    cluster = Cluster(config.new_client_from_config(environment["KUBECONFIG_AIRFLOW"]))
    cluster.pods("spark")  # which it may: what is refused below is not for want of a login
    denied = [
        lambda: cluster.pods(),
        lambda: cluster.pods("kube-system"),
        lambda: cluster.nodes(),
        lambda: cluster.find("Role", "fink-driver", "spark"),
        lambda: cluster.find("Namespace", "spark"),
        lambda: ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, print),
    ]
    for call in denied:
        with pytest.raises(NotPermitted, match="forbidden"):
            call()

import pytest

from fink_k8s.adapters.stream import rights
from fink_k8s.adapters.stream.rights import ensure_rights, prove_rights
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Refused
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.stream.driver_rights import EDIT_IN_CLUSTER, allowed_to_driver
from fink_k8s.core.stream.manifests import make_cluster_edit_binding, make_namespace
from fink_k8s.core.stream.stream_request import RbacMode
from tests.fakes import FakeCluster

LEAST, EDIT = RbacMode.LEAST_PRIVILEGE, RbacMode.CLUSTER_EDIT
SETTINGS = Settings(namespace="spark", service_account="spark")
THREE = ["ServiceAccount spark", "Role fink-driver", "RoleBinding fink-driver"]
BINDING = ("ClusterRoleBinding", "spark-role")
IN_NAMESPACE = {(verb, what, "spark") for verb, what in allowed_to_driver()}
EVERYWHERE = {(verb, what, "default") for verb, what in EDIT_IN_CLUSTER}


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch):
    monkeypatch.setattr(rights, "GRANT_SECONDS", 0)


@pytest.fixture
def said():
    return []


@pytest.fixture
def cluster():
    return FakeCluster(make_namespace(SETTINGS))


def ensure(cluster, mode, said):
    return ensure_rights(cluster, SETTINGS, mode, said.append)


def test_least_privilege_makes_account_role_and_binding(cluster, said):
    assert ensure(cluster, LEAST, said) == THREE
    assert said == [f"{title}: applied" for title in THREE]
    assert not any(kind.startswith("Cluster") for kind, *_ in cluster.objects)


def test_a_missing_namespace_is_made_first(said):
    assert ensure(FakeCluster(), LEAST, said) == ["Namespace spark", *THREE]


def test_an_existing_namespace_is_left_as_it_is(said):
    theirs = {"kind": "Namespace", "metadata": {"name": "spark", "labels": {"team": "x"}}}
    cluster = FakeCluster(theirs)
    ensure(cluster, LEAST, said)
    assert cluster.find("Namespace", "spark") == theirs


@pytest.mark.parametrize("mode", [LEAST, EDIT])
def test_a_second_run_changes_nothing(cluster, said, mode):
    ensure(cluster, mode, said)
    said.clear()
    assert ensure(cluster, mode, said) == []
    applied = [line for line in said if not line.startswith("warning")]
    assert applied
    assert all(line.endswith(": unchanged") for line in applied)


def test_cluster_edit_adds_the_binding_and_warns(cluster, said):
    assert ensure(cluster, EDIT, said) == [*THREE, " ".join(BINDING)]
    assert any(line.startswith("warning:") and "Secret" in line for line in said)
    assert cluster.find(*BINDING)["roleRef"]["name"] == "edit"


def test_going_back_takes_our_binding_away(cluster, said):
    ensure(cluster, EDIT, said)
    assert ensure(cluster, LEAST, said) == [" ".join(BINDING)]
    assert cluster.find(*BINDING) is None


@pytest.mark.parametrize("labels", [None, {"app.kubernetes.io/managed-by": "helm"}])
def test_going_back_leaves_a_binding_of_others(cluster, said, labels):
    theirs = make_cluster_edit_binding(SETTINGS)
    theirs["metadata"]["labels"] = labels
    cluster.put(theirs)
    assert ensure(cluster, LEAST, said) == THREE
    assert cluster.find(*BINDING) == theirs


def check(rights, mode, said):
    return prove_rights(FakeCluster(rights=rights), SETTINGS, mode, said.append)


@pytest.mark.parametrize(
    ("mode", "rights", "denied"), [(LEAST, IN_NAMESPACE, 8), (EDIT, IN_NAMESPACE | EVERYWHERE, 0)]
)
def test_the_right_rights_are_confirmed(said, mode, rights, denied):
    assert check(rights, mode, said) == len(rights) + denied
    assert said == [f"the API server confirms: {len(rights)} rights granted, {denied} denied"]


def test_each_right_is_asked_for_the_account_in_its_namespace(said):
    users = set()

    class Asked(FakeCluster):
        def may(self, user, *what):
            users.add(user)
            return super().may(user, *what)

    prove_rights(Asked(rights=IN_NAMESPACE), SETTINGS, LEAST, said.append)
    assert users == {"system:serviceaccount:spark:spark"}


@pytest.mark.parametrize("missing", sorted(IN_NAMESPACE))
def test_a_missing_right_is_named(said, missing):
    with pytest.raises(NotPermitted, match=f"may not {missing[0]} {missing[1]} in namespace spark"):
        check(IN_NAMESPACE - {missing}, LEAST, said)
    assert said == []


@pytest.mark.parametrize(
    "more",
    [("get", "secrets", "spark"), ("create", "pods/exec", "spark"), ("list", "pods", "default")],
)
def test_a_right_too_many_is_refused(said, more):
    with pytest.raises(Refused, match=f"may {more[0]} {more[1]} in namespace {more[2]}, but"):
        check(IN_NAMESPACE | {more}, LEAST, said)


def test_cluster_edit_that_did_not_come_to_be_is_told(said):
    with pytest.raises(NotPermitted, match="in namespace default"):
        check(IN_NAMESPACE, EDIT, said)


def test_a_right_that_reaches_the_authorizer_late_is_waited_for(said, monkeypatch):
    monkeypatch.setattr(rights, "GRANT_SECONDS", 5)
    cluster = FakeCluster(rights=IN_NAMESPACE)
    answers = iter([False, False])
    real = cluster.may
    monkeypatch.setattr(cluster, "may", lambda *asked: next(answers, None) is None and real(*asked))
    assert prove_rights(cluster, SETTINGS, LEAST, said.append) > 20


WITH_SECRET = SETTINGS.model_copy(update={"image_pull_secret": "fink-registry"})
LOGIN = Login("registry:5000", "fink", "canary")


def test_the_pull_secret_is_made_of_the_login_which_nothing_shows(cluster, said):
    made = ensure_rights(cluster, WITH_SECRET, LEAST, said.append, LOGIN)
    assert made == [*THREE, "Secret fink-registry"]
    assert ("Secret", "spark", "fink-registry") in cluster.objects
    assert "canary" not in f"{made} {said}"
    assert ensure_rights(cluster, WITH_SECRET, LEAST, said.append, LOGIN) == []


def test_a_login_without_a_named_secret_makes_none(cluster, said):
    assert ensure_rights(cluster, SETTINGS, LEAST, said.append, LOGIN) == THREE


def test_a_secret_made_by_other_hands_is_taken(cluster, said):
    ensure_rights(cluster, WITH_SECRET, LEAST, said.append, LOGIN)
    assert ensure_rights(cluster, WITH_SECRET, LEAST, said.append) == []


def test_a_secret_that_is_nowhere_is_named_with_the_remedy(cluster, said):
    with pytest.raises(
        InvalidRequest, match="login to the connection docker_default, or create the"
    ):
        ensure_rights(cluster, WITH_SECRET, LEAST, said.append)

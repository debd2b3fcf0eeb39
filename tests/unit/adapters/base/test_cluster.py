import base64
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.incluster_config import InClusterConfigLoader

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.core.base.errors import (
    Conflict,
    FinkError,
    InvalidRequest,
    NotPermitted,
    Unavailable,
)

ACCOUNT = {"kind": "ServiceAccount", "metadata": {"name": "spark", "namespace": "ns"}}
PROXY = "/api/v1/namespaces/ns/pods/d:4040/proxy"


class Api:
    """Answers each call with the next of `answers`; the last one for good."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    def call_api(self, path, method, **options):
        self.calls.append(SimpleNamespace(path=path, method=method, **options))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def http(status, body="the cluster's words"):
    error = ApiException(status=status, reason="reason")
    error.body = body
    return error


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    seconds = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=seconds.append))
    return seconds


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, NotPermitted),
        (403, NotPermitted),
        (409, Conflict),
        (400, InvalidRequest),
        (422, InvalidRequest),
    ],
)
def test_a_refusal_is_told_at_once_in_the_clusters_words(status, error):
    api = Api(http(status))
    with pytest.raises(error, match="the cluster's words") as caught:
        Cluster(api).create(ACCOUNT)
    assert len(api.calls) == 1
    assert not caught.value.retryable


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_and_then_given_up(status, slept):
    api = Api(http(status))
    with pytest.raises(Unavailable, match=str(status)) as caught:
        Cluster(api).nodes()
    assert len(api.calls) == 4
    assert len(slept) == 3
    assert slept == sorted(slept)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "passing", [http(429), http(503), urllib3.exceptions.ProtocolError("connection reset")]
)
def test_what_passes_is_not_noticed(passing):
    api = Api(passing, passing, {"items": [1]})
    assert Cluster(api).nodes() == [1]
    assert len(api.calls) == 3


def test_a_server_that_is_away_is_unavailable():
    away = urllib3.exceptions.MaxRetryError(None, "/", "connection refused")
    with pytest.raises(Unavailable, match=r"does not answer.*connection refused"):
        Cluster(Api(away)).nodes()


def test_what_is_not_there_is_none():
    assert Cluster(Api(http(404))).find("Namespace", "spark") is None
    assert not Cluster(Api(http(404))).crd_exists()
    assert Cluster(Api({})).crd_exists()


def test_a_right_that_is_missing_is_not_taken_for_an_object_that_is():
    with pytest.raises(NotPermitted):
        Cluster(Api(http(403))).find("Namespace", "spark")


def test_an_object_in_a_namespace_that_is_not_there_is_an_error_of_ours():
    with pytest.raises(FinkError, match=r"POST .*the object does not exist"):
        Cluster(Api(http(404))).create(ACCOUNT)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("ServiceAccount", "/api/v1/namespaces/ns/serviceaccounts/x"),
        (
            "SparkApplication",
            "/apis/sparkoperator.k8s.io/v1beta2/namespaces/ns/sparkapplications/x",
        ),
        ("ClusterRoleBinding", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/x"),
    ],
)
def test_objects_are_found_where_their_kind_lives(kind, path):
    api = Api({"kind": kind})
    assert Cluster(api).find(kind, "x", "ns") == {"kind": kind}
    assert (api.calls[0].method, api.calls[0].path) == ("GET", path)


def test_delete_tells_whether_there_was_one():
    api = Api({})
    assert Cluster(api).delete("ServiceAccount", "spark", "ns")
    assert api.calls[0].method == "DELETE"
    assert api.calls[0].body["propagationPolicy"] == "Foreground"
    assert not Cluster(Api(http(404))).delete("ServiceAccount", "spark", "ns")


def versioned(version, **more):
    return {"metadata": {"resourceVersion": version}, **more}


@pytest.mark.parametrize(
    ("before", "changed"), [(http(404), True), (versioned("1"), True), (versioned("2"), False)]
)
def test_apply_tells_whether_it_changed_anything(before, changed):
    api = Api(before, versioned("2"))
    assert Cluster(api).apply(ACCOUNT) is changed
    assert [call.method for call in api.calls] == ["GET", "PATCH"]
    assert api.calls[1].header_params["Content-Type"] == "application/apply-patch+yaml"
    assert ("fieldManager", "fink-airflow") in api.calls[1].query_params
    assert api.calls[1].body == ACCOUNT


@pytest.mark.parametrize(
    ("role", "methods"), [("edit", ["GET", "PATCH"]), ("view", ["GET", "DELETE", "PATCH"])]
)
def test_only_a_binding_to_another_role_is_made_anew(role, methods):
    wanted = {
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "ns"},
        "roleRef": {"name": "edit"},
    }
    api = Api(versioned("1", roleRef={"name": role}), versioned("2"))
    assert Cluster(api).apply(wanted)
    assert [call.method for call in api.calls] == methods


@pytest.mark.parametrize(
    ("resource", "group", "plural", "subresource"),
    [
        ("pods", "", "pods", ""),
        ("pods/exec", "", "pods", "exec"),
        ("rolebindings.rbac.authorization.k8s.io", "rbac.authorization.k8s.io", "rolebindings", ""),
    ],
)
def test_may_asks_for_the_right_thing(resource, group, plural, subresource):
    api = Api({"status": {"allowed": True}})
    assert Cluster(api).may("user", "get", resource, "ns") is True
    assert api.calls[0].body["spec"] == {
        "user": "user",
        "resourceAttributes": {
            "namespace": "ns",
            "verb": "get",
            "group": group,
            "resource": plural,
            "subresource": subresource,
        },
    }


def test_what_is_not_allowed_is_denied():
    assert Cluster(Api({"status": {}})).may("user", "get", "pods", "ns") is False


@pytest.mark.parametrize("minor", ["34", "34+"])
def test_version_is_major_and_minor(minor):
    assert Cluster(Api({"major": "1", "minor": minor})).version() == "1.34"


@pytest.mark.parametrize(
    ("namespace", "selector", "path", "query"),
    [
        ("", "", "/api/v1/pods", []),
        ("ns", "a=b", "/api/v1/namespaces/ns/pods", [("labelSelector", "a=b")]),
    ],
)
def test_pods_of_a_namespace_or_of_all(namespace, selector, path, query):
    api = Api({"items": []})
    assert Cluster(api).pods(namespace, selector) == []
    assert (api.calls[0].path, api.calls[0].query_params) == (path, query)


@pytest.mark.parametrize("error", [http(503), http(404), http(400)])
def test_a_driver_without_metrics_is_asked_once(error):
    api = Api(error)
    assert Cluster(api).driver_metrics("ns", "d") is None
    assert len(api.calls) == 1


def test_metrics_come_as_the_driver_gives_them():
    assert Cluster(Api({"gauges": {}})).driver_metrics("ns", "d") == {"gauges": {}}


def test_a_driver_that_is_starting_up_has_no_metrics():
    assert Cluster(Api("Spark is starting up. Please wait.")).driver_metrics("ns", "d") is None


def test_a_missing_right_on_the_proxy_is_not_a_driver_without_metrics():
    with pytest.raises(NotPermitted):
        Cluster(Api(http(403))).driver_metrics("ns", "d")


@pytest.mark.parametrize("error", [http(403), http(404), http(503)])
def test_a_log_that_cannot_be_had_is_empty(error):
    assert Cluster(Api(error)).driver_log("ns", "d") == ""


def page(status=200, body=b"", **headers):
    return SimpleNamespace(status=status, data=body, headers=headers)


def test_links_of_a_driver_page_stay_on_our_side():
    body = f'<a href="{PROXY}/ui/s/jobs/">'.encode()
    api = Api(page(body=body, **{"Content-Type": "text/html"}))
    got = Cluster(api).driver_page("ns", "d", "jobs/", [("id", "1")], "/ui/s")
    assert got.content_type == "text/html"
    assert got.body == b'<a href="/ui/s/jobs/">'
    assert (api.calls[0].path, api.calls[0].query_params) == (f"{PROXY}/jobs/", [("id", "1")])
    assert api.calls[0].header_params == {"X-Forwarded-Context": "/ui/s"}


def test_a_driver_that_does_not_answer_is_unavailable():
    with pytest.raises(Unavailable):
        Cluster(Api(http(503))).driver_page("ns", "d", "", [], "/ui/s")


CERTIFICATE = base64.b64encode(b"of the authority").decode()


def kubeconfig(**user):
    server = {"server": "https://k8s:6443", "certificate-authority-data": CERTIFICATE}
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": server}],
        "users": [{"name": "u", "user": user}],
    }


def access_of(**user):
    settings = client.Configuration()
    config.load_kube_config_from_dict(kubeconfig(**user), client_configuration=settings)
    return Cluster(client.ApiClient(settings)).access()


def test_the_access_of_a_kubeconfig_with_a_token():
    access = access_of(token="canary")
    assert (access.server, access.token, access.key) == ("https://k8s:6443", "canary", "")
    assert Path(access.authority).read_bytes() == b"of the authority"
    assert access.is_verified


def test_the_access_of_a_kubeconfig_with_a_certificate():
    access = access_of(**{"client-certificate-data": CERTIFICATE, "client-key-data": CERTIFICATE})
    assert access.token == ""
    assert Path(access.key).read_bytes() == Path(access.certificate).read_bytes()


def test_the_access_of_a_pod_is_its_token_of_now(tmp_path):
    """Its kubelet writes a new token every hour."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("of the authority")
    settings = client.Configuration()
    place = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    loader = InClusterConfigLoader(str(token), str(authority), environ=place)
    loader.load_and_set(settings)
    cluster = Cluster(client.ApiClient(settings))
    assert cluster.access().server == "https://10.96.0.1:443"
    assert cluster.access().token == "first"
    assert cluster.access().authority == str(authority)


def test_a_right_of_one_s_own_is_asked_of_the_api_server():
    api = Api({"status": {"allowed": True}})
    assert Cluster(api).may_i("create", "pods/exec", "ns")
    [call] = api.calls
    assert call.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = call.body["spec"]["resourceAttributes"]
    assert (asked["verb"], asked["resource"], asked["subresource"]) == ("create", "pods", "exec")


@pytest.mark.parametrize("grace", [None, 0, 90])
def test_an_object_is_ended_only_if_it_is_still_the_same_one(grace):
    pod = {"kind": "Pod", "metadata": {"name": "d", "namespace": "ns", "uid": "u"}}
    api = Api({})
    assert Cluster(api).end(pod, grace)
    [call] = api.calls
    assert (call.method, call.path) == ("DELETE", "/api/v1/namespaces/ns/pods/d")
    assert call.body["preconditions"] == {"uid": "u"}
    assert call.body["propagationPolicy"] == "Background"
    assert call.body.get("gracePeriodSeconds") == grace
    assert not Cluster(Api(http(409))).end(pod)
    assert not Cluster(Api(http(404))).end(pod)
    with pytest.raises(NotPermitted):
        Cluster(Api(http(403))).end(pod)


def test_a_lists_objects_say_their_kind():
    [found] = Cluster(Api({"items": [{"metadata": {"name": "m"}}]})).find_all("ConfigMap", "ns")
    assert found == {"kind": "ConfigMap", "metadata": {"name": "m"}}


def test_a_pod_is_watched_alone():
    api = Api("open answer")
    assert Cluster(api).watch_pod("ns", "d") == "open answer"
    assert api.calls[0].query_params == [("watch", "true"), ("fieldSelector", "metadata.name=d")]


def test_a_log_is_read_to_its_end_and_of_the_container_before():
    api = Api(SimpleNamespace(data=b"one\ntwo"))
    assert Cluster(api).pod_log("ns", "d", 7, previous=True) == "one\ntwo"
    [call] = api.calls
    assert call.path == "/api/v1/namespaces/ns/pods/d/log"
    assert call.query_params == [("tailLines", "7"), ("previous", "true")]


def test_a_log_that_cannot_be_read_is_an_error_only_where_one_asks_why():
    assert Cluster(Api(http(403))).driver_log("ns", "d") == ""
    with pytest.raises(NotPermitted):
        Cluster(Api(http(403))).pod_log("ns", "d", 7)


def test_events_are_those_of_the_namespace():
    api = Api({"items": [1]})
    assert Cluster(api).events("ns") == [1]
    assert [call.path for call in api.calls] == ["/api/v1/namespaces/ns/events"]


def test_a_kind_that_the_cluster_does_not_know_has_no_objects():
    assert Cluster(Api(http(404))).find_all("SparkApplication", "ns") == []
    with pytest.raises(NotPermitted):
        Cluster(Api(http(403))).find_all("SparkApplication", "ns")

"""The Kubernetes API as this project uses it: plain dicts in and out, errors of our own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import should_bypass_proxies
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from fink_k8s.adapters.base.api_errors import BUSY, NotThere, away, error_of
from fink_k8s.core.base.errors import Conflict, FinkError, InvalidRequest, Unavailable
from fink_k8s.core.base.kubernetes import Manifest, version_of_object
from fink_k8s.core.base.names import FIELD_MANAGER

GROUP, VERSION, PLURAL = "sparkoperator.k8s.io", "v1beta2", "sparkapplications"
CRD = f"{PLURAL}.{GROUP}"
_APPLY = "application/apply-patch+yaml"
# Where each kind of object is found; `{ns}` is its namespace.
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{ns}/pods",
    "Service": "/api/v1/namespaces/{ns}/services",
    "ConfigMap": "/api/v1/namespaces/{ns}/configmaps",
    "PersistentVolumeClaim": "/api/v1/namespaces/{ns}/persistentvolumeclaims",
    "Secret": "/api/v1/namespaces/{ns}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{ns}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "SparkApplication": f"/apis/{GROUP}/{VERSION}/namespaces/{{ns}}/{PLURAL}",
}


@dataclass(frozen=True)
class Page:
    """A page of a driver's UI."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Access:
    """How an account reaches its API server: a token, or the files of a client certificate."""

    server: str
    token: str = field(repr=False)
    authority: str
    certificate: str
    key: str
    is_verified: bool
    proxy: str = ""
    """The HTTP proxy on the way to the server; empty for none."""
    server_name: str = ""
    """The name that the server's certificate has, where it is not the address's."""


class Cluster:
    """One API server, as one account sees it."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._api = api_client

    def version(self) -> str:
        """Return the API server's `major.minor`."""
        answer = self._get("/version")
        return f"{answer['major']}.{answer['minor'].rstrip('+')}"

    def find(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """Return an object, or None where there is none of that name."""
        return self._find(f"{path_of(kind, namespace)}/{name}")

    def find_all(self, kind: str, namespace: str) -> list[Manifest]:
        """Return the objects of a kind in a namespace, each with its `kind`.

        Of a kind that the cluster does not know, as SparkApplication without operator, it has none.
        """
        items = (self._find(path_of(kind, namespace)) or {"items": []})["items"]
        return [{**item, "kind": kind} for item in items]

    def crd_exists(self) -> bool:
        """Tell whether the Spark Operator's SparkApplication is known to the cluster."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}"
        return self._find(path) is not None

    def deployments(self, namespace: str) -> list[Manifest]:
        """Return the deployments of a namespace."""
        return list(self._get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"])

    def nodes(self) -> list[Manifest]:
        """Return the nodes."""
        return list(self._get("/api/v1/nodes")["items"])

    def storage_classes(self) -> list[Manifest]:
        """Return the storage classes."""
        return list(self._get("/apis/storage.k8s.io/v1/storageclasses")["items"])

    def pods(self, namespace: str = "", selector: str = "") -> list[Manifest]:
        """Return the pods of a namespace, or of all."""
        where = f"/namespaces/{namespace}" if namespace else ""
        return list(self._get(f"/api/v1{where}/pods", labelSelector=selector)["items"])

    def events(self, namespace: str) -> list[Manifest]:
        """Return the events of a namespace."""
        return list(self._get(f"/api/v1/namespaces/{namespace}/events")["items"])

    def apply(self, manifest: Manifest) -> bool:
        """Make an object as `manifest` says (server-side apply); tell whether that changed it.

        A binding to another role is deleted and created again: `roleRef` cannot be changed.
        """
        metadata = manifest["metadata"]
        kind, name, namespace = manifest["kind"], metadata["name"], metadata.get("namespace", "")
        before = self.find(kind, name, namespace)
        if before and "roleRef" in manifest and before["roleRef"] != manifest["roleRef"]:
            self.delete(kind, name, namespace)
            before = None
        path = f"{path_of(kind, namespace)}/{name}"
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        after = self._call("PATCH", path, query, manifest, content_type=_APPLY)
        return before is None or version_of_object(before) != version_of_object(after)

    def annotate(
        self, kind: str, name: str, namespace: str, annotations: Mapping[str, str]
    ) -> None:
        """Add annotations to an object, or change those that it has."""
        path = f"{path_of(kind, namespace)}/{name}"
        body = {"metadata": {"annotations": dict(annotations)}}
        self._call("PATCH", path, {}, body, content_type="application/merge-patch+json")

    def create(self, manifest: Manifest) -> Manifest:
        """Make a new object.

        Raises:
            Conflict: one of that name is there.
            InvalidRequest: the cluster refuses it; the message is the cluster's.
        """
        namespace = manifest["metadata"].get("namespace", "")
        return dict(self._call("POST", path_of(manifest["kind"], namespace), {}, manifest))

    def delete(self, kind: str, name: str, namespace: str = "", uid: str = "") -> bool:
        """Delete an object after all that it owns; tell whether there was one.

        With `uid` it is exactly that one: another that has taken its name meanwhile is left alone.
        """
        options: Manifest = {"propagationPolicy": "Foreground"}
        if uid:
            options["preconditions"] = {"uid": uid}
        return self._delete(kind, name, namespace, options)

    def end(self, there: Mapping[str, Any], grace_seconds: int | None = None) -> bool:
        """Delete exactly this object, before all that it owns; tell whether it was still there.

        Another object that has taken its name meanwhile is left alone. `grace_seconds` is what a
        pod is given to end by itself: 0 strikes it out without asking its node.
        """
        metadata = there["metadata"]
        options: Manifest = {
            "propagationPolicy": "Background",
            "preconditions": {"uid": metadata["uid"]},
        }
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        return self._delete(there["kind"], metadata["name"], metadata["namespace"], options)

    def _delete(self, kind: str, name: str, namespace: str, options: Manifest) -> bool:
        path = f"{path_of(kind, namespace)}/{name}"
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        try:
            self._call("DELETE", path, {}, body)
        except (NotThere, Conflict):  # a conflict is an object that has only the name
            return False
        return True

    def may(self, user: str, verb: str, resource: str, namespace: str) -> bool:
        """Ask the API server whether `user` may do `verb` on `resource`, e.g. `pods/exec`."""
        attributes = _attributes(verb, resource, namespace)
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self._call("POST", path, {}, review)["status"].get("allowed"))

    def may_i(self, verb: str, resource: str, namespace: str) -> bool:
        """Ask the API server whether this account may do `verb` on `resource`."""
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": _attributes(verb, resource, namespace)},
        }
        return bool(self._call("POST", path, {}, review)["status"].get("allowed"))

    def access(self) -> Access:
        """Return how this account reaches the API server, for whoever does so by other means."""
        settings = self._api.configuration
        no_proxy = settings.no_proxy or ""
        proxied = settings.proxy and not should_bypass_proxies(settings.host, no_proxy=no_proxy)
        bearer = settings.auth_settings().get("BearerToken", {}).get("value", "")
        return Access(
            server=settings.host,
            token=bearer.rpartition(" ")[2],
            authority=settings.ssl_ca_cert or "",
            certificate=settings.cert_file or "",
            key=settings.key_file or "",
            is_verified=bool(settings.verify_ssl),
            proxy=settings.proxy if proxied else "",
            server_name=settings.tls_server_name or "",
        )

    def driver_metrics(self, namespace: str, pod: str) -> Manifest | None:
        """Return the driver's metrics through the API server's proxy; None while there are none."""
        try:
            answer = self._call("GET", ui_of(namespace, pod) + "/metrics/json/", {}, tries=1)
        except (Unavailable, NotThere, InvalidRequest):  # a pod without address is refused
            return None
        # While Spark starts up, every address gives one sentence that says so.
        return answer if isinstance(answer, dict) else None

    def driver_page(
        self, namespace: str, pod: str, path: str, query: list[tuple[str, str]], base: str
    ) -> Page:
        """Return a page of the driver's Spark UI, its links as seen from `base`.

        Raises:
            Unavailable: the driver does not answer; also other errors of this class.
        """
        proxy = ui_of(namespace, pod)
        # Spark puts the base in front of its links.
        answer = self._raw(f"{proxy}/{path}", query, {"X-Forwarded-Context": base})
        # The API server turns links to itself; they are to stay on this side.
        body = answer.data.replace(proxy.encode() + base.encode(), base.encode())
        return Page(answer.headers.get("Content-Type", ""), body)

    def driver_log(self, namespace: str, pod: str, lines: int = 40) -> str:
        """Return the last lines of a pod's log; empty where there is none."""
        try:
            return self.pod_log(namespace, pod, lines)
        except FinkError:
            return ""

    def pod_log(self, namespace: str, pod: str, lines: int, *, previous: bool = False) -> str:
        """Return the last lines of a pod's log, or of that of its container before this one."""
        query = [("tailLines", str(lines)), ("previous", str(previous).lower())]
        data: bytes = self._raw(log_of(namespace, pod), query, {}).data
        return data.decode(errors="replace")

    def follow_log(self, namespace: str, pod: str) -> Any:
        """Return a pod's log as an open answer that yields lines as they are written; close it."""
        query = [("follow", "true"), ("tailLines", "100")]
        return self._raw(log_of(namespace, pod), query, {}, timeout=(5, None))

    def watch_pod(self, namespace: str, pod: str) -> Any:
        """Return what happens to a pod as an open answer, a JSON event a line; close it."""
        query = [("watch", "true"), ("fieldSelector", f"metadata.name={pod}")]
        path = path_of("Pod", namespace)
        return self._raw(path, query, {}, timeout=(5, None))

    def _find(self, path: str) -> Manifest | None:
        try:
            return self._get(path)
        except NotThere:
            return None

    def _get(self, path: str, **query: str) -> Manifest:
        return dict(self._call("GET", path, {key: value for key, value in query.items() if value}))

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Manifest | None = None,
        content_type: str = "application/json",
        tries: int = 4,
    ) -> Any:
        def once() -> Any:
            return self._api.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                response_types_map=dict.fromkeys((200, 201, 202), "object"),
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=15,
            )

        return _answer_of(once, f"{method} {path}", tries)

    def _raw(
        self,
        path: str,
        query: list[tuple[str, str]],
        headers: dict[str, str],
        timeout: Any = 15,
    ) -> Any:
        """Return the answer to one GET as urllib3 gives it, undecoded."""

        def once() -> Any:
            return self._api.call_api(
                path,
                "GET",
                query_params=query,
                header_params=headers,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=timeout,
            )

        return _answer_of(once, f"GET {path}", tries=1)


def _attributes(verb: str, resource: str, namespace: str) -> dict[str, str]:
    """Return what an access review asks of; `resource` e.g. `pods/exec` or `jobs.batch`."""
    name, _, group = resource.partition(".")
    plural, _, subresource = name.partition("/")
    return {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
    }


def path_of(kind: str, namespace: str = "") -> str:
    """Return where the objects of a kind are, e.g. `Pod`."""
    return _PATHS[kind].format(ns=namespace)


def ui_of(namespace: str, pod: str) -> str:
    """Return where the API server's proxy reaches the Spark UI of a driver."""
    return f"/api/v1/namespaces/{namespace}/pods/{pod}:4040/proxy"


def log_of(namespace: str, pod: str) -> str:
    """Return where a pod's log is."""
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/log"


def _answer_of(once: Callable[[], Any], what: str, tries: int) -> Any:
    """Call the API, again where it is only busy, and turn its errors into ours."""
    retrying = Retrying(
        retry=retry_if_exception(_is_passing),
        stop=stop_after_attempt(tries),
        wait=wait_exponential(0.2, max=3),
        reraise=True,
    )
    try:
        return retrying(once)
    except ApiException as error:
        raise error_of(error.status, str(error.body or error.reason), what) from error
    except urllib3.exceptions.HTTPError as error:
        raise away(what, error) from error


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, ApiException):
        return error.status in BUSY
    return isinstance(error, urllib3.exceptions.HTTPError)

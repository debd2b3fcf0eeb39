"""Plain spark-submit against a real API server, side by side with the operator."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from kubernetes import config

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.image_build import resolve
from fink_k8s.adapters.stream.rights import ensure_rights
from fink_k8s.adapters.stream.streams import ensure_stream
from fink_k8s.core.config.releases import releases_from
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.prometheus import SCRAPED
from fink_k8s.core.stream.stream_names import pod_selector
from fink_k8s.core.stream.stream_request import RbacMode, StreamRequest
from fink_k8s.glue.stream.spark_submit import SparkSubmitStreamOperator
from testbed.node import kubectl
from testbed.places import ROOT

pytestmark = [pytest.mark.testbed, pytest.mark.timeout(240)]
RIGHTS = str(ROOT / "include/kubernetes/airflow-spark-submit.yaml")
BY_SUBMIT = StreamRequest(night="20040301", topic="no_alerts_here")
BY_OPERATOR = StreamRequest(night="20040302", topic="no_alerts_here")


@pytest.fixture(scope="module")
def settings(environment):
    return load_settings()


@pytest.fixture(scope="module")
def account(environment):
    """Return the cluster as Airflow's account sees it."""
    return Cluster(config.new_client_from_config(environment["KUBECONFIG_AIRFLOW"]))


@pytest.fixture(scope="module", autouse=True)
def prepared(environment, settings, account, kubernetes):
    """The driver's rights before, and nothing left after."""
    ensure_rights(Cluster(kubernetes), settings, RbacMode.LEAST_PRIVILEGE, print)
    yield
    account.delete("SparkApplication", BY_OPERATOR.stream, settings.namespace)
    kubectl("-n", settings.namespace, "delete", "pods", "-l",
            "fink.night in (20040301,20040302)", "--grace-period=1")  # fmt: skip


@pytest.fixture
def submit(environment, settings, monkeypatch):
    """Return what runs the task's own code for a request, and returns how the stream came up."""
    extra = {"kube_config_path": environment["KUBECONFIG_AIRFLOW"]}
    connection = json.dumps({"conn_type": "kubernetes", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", connection)

    def run(request):
        operator = SparkSubmitStreamOperator(
            task_id="spark_submit", manifest=manifest_of(settings, request)
        )
        try:
            return operator.execute({})["way"]
        except TaskDeferred as deferred:
            return deferred.kwargs["way"]

    return run


def manifest_of(settings, request):
    release = releases_from((ROOT / "include/releases.yaml").read_text()).get()
    image = resolve(settings.image_repository, release.tag)
    return make_spark_application(request, settings, image, release.spark)


class ProcessTable(threading.Thread):
    """Reads all command lines and the environments of JVMs, again and again until it is left."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = {}
        self._over = threading.Event()

    def run(self):
        while not self._over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    command = (process / "cmdline").read_bytes()
                    if b"org.apache.spark.deploy.SparkSubmit" in command:
                        self.seen[command] = (process / "environ").read_bytes()
                except OSError:
                    continue
            time.sleep(0.1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


def test_two_at_once_make_one_driver_and_show_no_credential(
    submit, settings, account, environment, capsys
):
    kubeconfig = yaml.safe_load(Path(environment["KUBECONFIG_AIRFLOW"]).read_text())
    token = kubeconfig["users"][0]["user"]["token"]
    with ProcessTable() as table, ThreadPoolExecutor(2) as pool:
        ways = sorted(pool.map(submit, [BY_SUBMIT, BY_SUBMIT]))
    assert ways == ["adopted", "created"]
    assert len(account.pods(settings.namespace, pod_selector(BY_SUBMIT.stream))) == 1
    mine = {c: e for c, e in table.seen.items() if BY_SUBMIT.stream.encode() in c}
    assert mine
    for command, variables in mine.items():
        assert token.encode() not in command + variables
        assert environment["AWS_SECRET_ACCESS_KEY"].encode() not in command + variables
    log = capsys.readouterr().out
    assert "Deployed Spark application" in log
    assert token not in log


@pytest.mark.shows("docs/from-the-command-line.md#submit")
def test_both_ways_give_the_same_pods(submit, settings, account, kubernetes):
    """Security contexts, volumes, environment, labels, resources, grace: all of both specs."""
    ensure_stream(Cluster(kubernetes), manifest_of(settings, BY_OPERATOR))
    submit(BY_SUBMIT)
    pods = {
        request.night: wait_for_pods(account, settings.namespace, request)
        for request in (BY_SUBMIT, BY_OPERATOR)
    }
    for role in ("driver", "executor"):
        mine, operators = (shape_of(pods[one.night][role]) for one in (BY_SUBMIT, BY_OPERATOR))
        assert mine == operators
        contexts = [c["securityContext"] for c in mine["spec"]["containers"]]
        assert all(one["readOnlyRootFilesystem"] for one in contexts)
    for pod in (pods[one.night]["driver"] for one in (BY_SUBMIT, BY_OPERATOR)):
        assert SCRAPED.items() <= pod["metadata"]["annotations"].items()


def test_without_its_rights_it_is_one_line_that_names_the_remedy(submit, settings):
    kubectl("-n", settings.namespace, "delete", "rolebinding", "airflow-spark-submit")
    try:
        with pytest.raises(AirflowFailException) as failed:
            submit(BY_SUBMIT.model_copy(update={"night": "20040303"}))
    finally:
        kubectl("apply", "--server-side", "-f", RIGHTS)
    assert "[right-missing]" in str(failed.value)
    assert 'cannot create resource "pods"' in str(failed.value)
    assert "include/kubernetes/airflow-spark-submit.yaml" in str(failed.value)
    assert len(str(failed.value)) < 700


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods/exec"),
        ("patch", "pods"),
        ("list", "nodes"),
        ("create", "serviceaccounts"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "deployments.apps"),
        ("delete", "namespaces"),
    ],
)
def test_its_rights_are_no_more_than_it_needs(account, settings, verb, resource):
    assert account.may_i("create", "pods", settings.namespace)
    assert not account.may_i(verb, resource, settings.namespace)
    assert not account.may_i("create", "pods", "kube-system")


def wait_for_pods(account, namespace, request, wait_seconds=90):
    """Return driver and first executor of a stream as the API server has them."""
    deadline = time.monotonic() + wait_seconds
    while True:
        pods = account.pods(namespace, pod_selector(request.stream))
        by_role = {pod["metadata"]["labels"]["spark-role"]: pod for pod in pods}
        if len(by_role) == 2:
            return by_role
        assert time.monotonic() < deadline, f"{request.stream} has {sorted(by_role)} only"
        time.sleep(0.5)


# What two streams differ in by nature: their night, and the names that Spark makes up.
_MADE_UP = re.compile(r"200403\d\d|kube-api-access-\w{5}|spark-[0-9a-f]{32}|[0-9a-f]{16}")


def shape_of(pod):
    """Return a pod's labels and spec without what is made up, nor what marks it the operator's."""
    labels = {
        key: value
        for key, value in pod["metadata"]["labels"].items()
        if not key.startswith("sparkoperator.k8s.io/")
    }
    spec = json.loads(json.dumps(pod["spec"]))
    for container in spec["containers"]:
        container["env"] = sorted(
            (one for one in container["env"] if one["name"] != "_SPARK_AUTH_SECRET"),
            key=lambda one: one["name"],
        )
        container["volumeMounts"].sort(key=lambda one: one["mountPath"])
    text = _MADE_UP.sub("MADE-UP", json.dumps({"labels": labels, "spec": spec}))
    shape = json.loads(text)
    shape["spec"]["volumes"].sort(key=lambda one: one["name"])
    return shape

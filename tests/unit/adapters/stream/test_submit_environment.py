"""What spark-submit is given beside the stream: credentials in a file, and little else."""

import base64
import json
import stat
from pathlib import Path

import pytest

from fink_k8s.adapters.base.cluster import Access
from fink_k8s.adapters.stream import submit_environment
from fink_k8s.adapters.stream.submit_environment import (
    SUBMIT_RIGHTS,
    check_submit,
    find_java,
    is_elliptic,
    make_kubeconfig,
    prepared,
)
from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.preflight.prerequisites import FindingLevel
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.core.stream.submit_conf import DRIVER_TEMPLATE, EXECUTOR_TEMPLATE, spark_submit_from
from tests.fakes import FakeCluster

SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
REQUEST = StreamRequest(night="20250101", topic="alerts")
SUBMIT = spark_submit_from(make_spark_application(REQUEST, SETTINGS, "i@sha256:1", "3.5.7"))
CANARY = "canary-token-of-the-account"


def pem(kind, body):
    text = base64.encodebytes(body).decode()
    return f"-----BEGIN {kind}-----\n{text}-----END {kind}-----\n".encode()


# The first bytes of PKCS#8 keys: a version, and the identifier of the kind of key.
RSA = pem("PRIVATE KEY", bytes.fromhex("30820155020100300d06092a864886f70d0101010500") + b"x" * 40)
EC = pem("PRIVATE KEY", bytes.fromhex("308187020100301306072a8648ce3d020106082a8648ce3d030107"))
SEC1 = pem("EC PRIVATE KEY", b"\x30\x77\x02\x01\x01\x04\x20" + b"x" * 40)


@pytest.fixture
def access(tmp_path):
    def make(**fields):
        files = {"authority": b"CA", "certificate": b"CERT", "key": RSA}
        paths = {}
        for name, content in files.items():
            path = tmp_path / name
            path.write_bytes(fields.pop(name, content))
            paths[name] = str(path)
        return Access(**{"server": "https://k8s:6443", "token": "", "is_verified": True}
                      | paths | fields)  # fmt: skip

    return make


def test_the_kubeconfig_says_all_of_a_token(access):
    config = make_kubeconfig(access(token=CANARY))
    assert config["users"] == [{"name": "airflow", "user": {"token": CANARY}}]
    [cluster] = config["clusters"]
    assert cluster["cluster"]["server"] == "https://k8s:6443"
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == b"CA"
    assert config["current-context"] == config["contexts"][0]["name"]


def test_the_kubeconfig_says_all_of_a_certificate(access):
    [user] = make_kubeconfig(access())["users"]
    assert base64.b64decode(user["user"]["client-key-data"]) == RSA
    assert base64.b64decode(user["user"]["client-certificate-data"]) == b"CERT"


@pytest.mark.parametrize("key", [EC, SEC1])
def test_a_key_that_spark_cannot_read_is_refused_with_the_remedy(access, key):
    with pytest.raises(InvalidRequest, match=r"elliptic-curve client key.*create token"):
        make_kubeconfig(access(key=key))
    # A token is used, whatever else is there.
    assert make_kubeconfig(access(key=key, token=CANARY))


@pytest.mark.parametrize(
    ("key", "elliptic"), [(EC, True), (SEC1, True), (RSA, False), (b"no key at all", False)]
)
def test_elliptic_curve_keys_are_known_in_both_forms(key, elliptic):
    assert is_elliptic(key) is elliptic


def test_a_connection_that_does_not_verify_tls_is_refused(access):
    with pytest.raises(InvalidRequest, match="does not verify TLS"):
        make_kubeconfig(access(is_verified=False))


def test_access_does_not_show_its_token(access):
    assert CANARY not in repr(access(token=CANARY))


def test_everything_is_in_place_for_as_long_as_it_runs(access, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FINK_STORE", "canary-of-airflow")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-airflow")
    monkeypatch.setenv("KUBECONFIG", "/of/somebody/else")
    monkeypatch.setenv("SPARK_CONF_DIR", "/of/somebody/else")
    monkeypatch.setenv("KUBERNETES_AUTH_TOKEN", "canary-of-airflow")
    with prepared(SUBMIT, access(token=CANARY), tmp_path) as ready:
        kubeconfig = Path(ready.environment["KUBECONFIG"])
        assert json.loads(kubeconfig.read_text())["users"][0]["user"]["token"] == CANARY
        for key in (DRIVER_TEMPLATE, EXECUTOR_TEMPLATE):
            path = Path(ready.conf[key])
            assert json.loads(path.read_text()) == SUBMIT.templates[key]
            assert path.parent == kubeconfig.parent
        for path in kubeconfig.parent.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(kubeconfig.parent.stat().st_mode) == 0o700
        assert ready.master == "k8s://https://k8s:6443"
        assert ready.environment["SPARK_HOME"] == str(tmp_path)
        assert ready.environment["PATH"].startswith(f"{tmp_path}/bin:")
        shown = json.dumps([dict(ready.conf), dict(ready.environment), ready.master])
        assert CANARY not in shown
        assert "canary-of-airflow" not in shown
        assert "/of/somebody/else" not in shown
    assert not kubeconfig.parent.exists()


def test_nothing_is_left_where_it_fails(access, tmp_path):
    with pytest.raises(RuntimeError), prepared(SUBMIT, access(token=CANARY), tmp_path) as ready:
        raise RuntimeError
    assert not Path(ready.environment["KUBECONFIG"]).exists()


def executable(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_java_is_java_home_s_or_the_path_s(tmp_path):
    home, path = executable(tmp_path / "jdk/bin/java"), executable(tmp_path / "bin/java")
    assert find_java({"JAVA_HOME": str(tmp_path / "jdk"), "PATH": str(tmp_path / "bin")}) == home
    assert find_java({"PATH": str(tmp_path / "bin")}) == path
    assert find_java({"PATH": str(tmp_path)}) == ""
    # Spark takes JAVA_HOME at its word.
    assert find_java({"JAVA_HOME": "/nowhere", "PATH": str(tmp_path / "bin")}) == ""


def test_preflight_names_missing_java_and_missing_rights_with_their_remedies(monkeypatch):
    monkeypatch.setattr(submit_environment, "find_java", lambda _: "")
    granted = [(verb, what, "spark") for verb, what in SUBMIT_RIGHTS if what != "services"]
    findings = list(check_submit(FakeCluster(rights=granted), "spark"))
    assert [one.level for one in findings] == [FindingLevel.ERROR, FindingLevel.ERROR]
    java, rights = map(str, findings)
    assert "install a JRE" in java
    assert "may not create services, patch services in spark" in rights
    assert "kubectl apply -f include/kubernetes/airflow-spark-submit.yaml" in rights


def test_preflight_names_credentials_that_spark_cannot_use(monkeypatch):
    monkeypatch.setattr(submit_environment, "find_java", lambda _: "/usr/bin/java")
    cluster = FakeCluster(rights=[(*right, "spark") for right in SUBMIT_RIGHTS])
    cluster.verifies_tls = False
    first, *others = check_submit(cluster, "spark")
    assert first.level is FindingLevel.ERROR
    assert "does not verify TLS" in first.text
    assert [one.level for one in others] == [FindingLevel.OK, FindingLevel.OK]


def test_preflight_is_content_with_java_and_rights(monkeypatch):
    monkeypatch.setattr(submit_environment, "find_java", lambda _: "/usr/bin/java")
    granted = [(*right, "spark") for right in SUBMIT_RIGHTS]
    findings = list(check_submit(FakeCluster(rights=granted), "spark"))
    assert [one.level for one in findings] == [FindingLevel.OK, FindingLevel.OK]


def test_the_rights_asked_for_are_the_rights_of_the_file():
    import yaml

    root = Path(__file__).resolve().parents[4]
    role, binding = yaml.safe_load_all((root / submit_environment.RIGHTS_FILE).read_text())
    granted = {
        (verb, ".".join(filter(None, [resource, group])))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == set(SUBMIT_RIGHTS)
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == "airflow"

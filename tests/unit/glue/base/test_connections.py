import json

import pytest
import requests

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.image.image_plan import Login
from fink_k8s.glue.base.connections import docker_engine, registry_login
from testbed.certificates import Authority


def test_the_local_socket_is_the_default():
    assert docker_engine({}) == {"base_url": "unix:///var/run/docker.sock"}
    assert docker_engine({"DOCKER_HOST": "unix:///x"}) == {"base_url": "unix:///x"}
    plain = {"DOCKER_HOST": "tcp://127.0.0.1:2375", "DOCKER_TLS_VERIFY": ""}
    assert docker_engine(plain) == {"base_url": "tcp://127.0.0.1:2375"}


@pytest.fixture
def minikube(tmp_path):
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.issue("client", "minikube")
    for name, file in (
        ("ca.pem", authority.certificate_file), ("cert.pem", certificate), ("key.pem", key)
    ):  # fmt: skip
        (tmp_path / name).write_bytes(file.read_bytes())
    return {
        "DOCKER_HOST": "tcp://192.168.49.2:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(tmp_path),
    }


def test_what_minikube_prints_is_taken(minikube, tmp_path):
    engine = docker_engine(minikube)
    assert engine["base_url"] == "https://192.168.49.2:2376"
    assert engine["tls"].cert == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    assert engine["tls"].verify is True
    assert engine["tls"].ca_cert == str(tmp_path / "ca.pem")


def test_the_engines_own_authority_counts_whatever_the_machine_trusts(minikube, tmp_path):
    session = requests.Session()
    docker_engine(minikube)["tls"].configure_client(session)
    assert session.verify == str(tmp_path / "ca.pem")
    # With it, REQUESTS_CA_BUNDLE of the environment would come before `verify`.
    assert session.trust_env is False


def test_a_folder_without_certificates_is_named(minikube, tmp_path):
    (tmp_path / "key.pem").unlink()
    with pytest.raises(InvalidRequest, match=r"DOCKER_CERT_PATH has no key\.pem"):
        docker_engine(minikube)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("registry.example.org", None, "registry.example.org"),
        ("registry.example.org", 5000, "registry.example.org:5000"),
        ("registry.example.org:5000", None, "registry.example.org:5000"),
        ("https://registry.example.org/", None, "registry.example.org"),
    ],
)
def test_the_login_is_that_of_the_connections_registry(monkeypatch, host, port, expected):
    connection = {"conn_type": "docker", "host": host, "login": "fink", "password": "canary"}
    if port:
        connection["port"] = port
    monkeypatch.setenv("AIRFLOW_CONN_DOCKER_DEFAULT", json.dumps(connection))
    assert registry_login() == Login(expected, "fink", "canary")


def test_without_a_password_there_is_no_login(monkeypatch):
    connection = {"conn_type": "docker", "host": "registry.example.org"}
    monkeypatch.setenv("AIRFLOW_CONN_DOCKER_DEFAULT", json.dumps(connection))
    assert registry_login() is None

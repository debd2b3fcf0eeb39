import json

import pytest
import requests

from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.image.image_plan import Login
from fink_k8s.glue.base.connections import (
    docker_engine,
    registry_login,
    stream_settings,
    survey_settings,
)
from testbed.certificates import Authority
from tests.surveys import write_surveys


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


def kafka(extra, conn_type="kafka"):
    return json.dumps({"conn_type": conn_type, "extra": extra})


@pytest.fixture
def partner(monkeypatch, tmp_path):
    """Return a function that sets the connection that the survey `partner` names."""
    file = write_surveys(tmp_path, partner={"brokers": {"connection": "kafka_partner"}})
    monkeypatch.setenv("FINK_SURVEYS", str(file))
    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    monkeypatch.setenv("FINK_STORE_PREFIX", "s3a://fink")
    return lambda text: monkeypatch.setenv("AIRFLOW_CONN_KAFKA_PARTNER", text)


def test_a_survey_s_brokers_come_from_the_connection_that_it_names(partner):
    partner(kafka({"bootstrap.servers": "k-1:9093,k-2:9093", "group.id": "x"}))
    settings = survey_settings("partner")
    assert (settings.kafka_servers, settings.store_prefix) == (
        "k-1:9093,k-2:9093", "s3a://fink/partner",
    )  # fmt: skip
    assert stream_settings("stream2raw-partner-20260101") == settings


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (kafka({}), "lacks bootstrap.servers; it must be of type kafka"),
        (kafka({"bootstrap.servers": "k:1"}, "generic"), "must be of type kafka"),
        (
            kafka({"bootstrap.servers": "k:1", "sasl.password": "s3cret"}),
            "holds sasl.password, which is not supported",
        ),
        (kafka({"bootstrap.servers": "k"}), "bootstrap.servers has an entry that is not host:port"),
    ],
)
def test_a_connection_that_cannot_be_used_is_named_with_its_survey_and_no_secret(
    partner, text, rule
):
    partner(text)
    with pytest.raises(InvalidRequest, match=rule) as caught:
        survey_settings("partner")
    assert "connection kafka_partner, which surveys.yaml sets for survey partner" in str(
        caught.value
    )
    assert "s3cret" not in str(caught.value)


def test_a_connection_that_is_not_there_is_named_with_what_to_create(partner):
    with pytest.raises(Unavailable, match="does not exist; create it with type kafka"):
        survey_settings("partner")


def test_a_survey_without_brokers_of_its_own_reads_the_installation_s(monkeypatch):
    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    assert survey_settings("ztf").kafka_servers == "kafka:9092"


def test_a_stream_whose_survey_is_no_longer_in_the_file_has_the_installation_s_settings(
    monkeypatch,
):
    monkeypatch.setenv("FINK_KAFKA_SERVERS", "kafka:9092")
    assert stream_settings("stream2raw-atlas-20260101").kafka_servers == "kafka:9092"

"""Clients made from Airflow connections, for the adapters."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from airflow.sdk.log import mask_secret

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.store.raw_store import Store, open_store
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Unavailable
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.config.surveys import load_surveys, survey_of
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.kafka.servers import kafka_servers_from
from fink_k8s.core.stream.stream_names import parse_stream_name

STREAMS_CONNECTION = "kubernetes_default"
"""The account that runs streams: no rights over roles, secrets or other namespaces."""
ADMIN_CONNECTION = "kubernetes_admin"
"""The account that grants rights; only the stages `preflight`, `rbac` and `store` use it."""
STORE_CONNECTION = "fink_store"
DOCKER_CONNECTION = "docker_default"
_BOOTSTRAP = "bootstrap.servers"
_HARMLESS = {"group.id"}
"""What Airflow's form of a Kafka connection asks for, and no stream uses."""
NOTIFY_CONNECTION = "fink_notify"
"""Who receives messages: addresses for Apprise in its password, separated by spaces or line "
    "breaks."""


def cluster(conn_id: str = STREAMS_CONNECTION) -> Cluster:
    """Return the cluster behind an Airflow connection."""
    return Cluster(KubernetesHook(conn_id=conn_id).get_conn())


def survey_settings(name: str) -> Settings:
    """Return the settings of one survey: its own brokers, and its own folder of the store.

    Raises:
        InvalidRequest: the survey does not exist, or the connection of its brokers is not valid.
    """
    survey = survey_of(name)
    settings = load_settings().for_survey(survey)
    if not survey.brokers.connection:
        return settings
    servers = _servers_of(survey.brokers.connection, survey.name)
    return settings.model_copy(update={"kafka_servers": servers})


def stream_settings(stream: str) -> Settings:
    """Return the settings of the survey that a stream reads; see `survey_settings`.

    A stream whose survey is no longer in surveys.yaml has those of the installation.
    """
    survey, _ = parse_stream_name(stream)
    return survey_settings(survey) if survey in load_surveys().names else load_settings()


def _servers_of(conn_id: str, survey: str) -> str:
    what = f"connection {conn_id}, which surveys.yaml sets for survey {survey},"
    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        # Airflow reports a secrets backend that does not answer in the same way.
        raise Unavailable(
            f"{what} does not exist; create it with type kafka, or set `servers` for the survey"
        ) from error
    keys = dict(found.extra_dejson)
    servers = str(keys.pop(_BOOTSTRAP, ""))
    # Silence would let a stream go to the brokers without the login that somebody wrote down.
    if found.conn_type != "kafka" or not servers or keys.keys() - _HARMLESS:
        unknown = ", ".join(sorted(keys.keys() - _HARMLESS))
        rule = f"holds {unknown}, which is not supported" if unknown else f"lacks {_BOOTSTRAP}"
        raise InvalidRequest(
            f"{what} {rule}; it must be of type kafka, with {_BOOTSTRAP} as its only extra"
        )
    try:
        return kafka_servers_from(servers)
    except ValueError as error:
        raise InvalidRequest(f"{what} {_BOOTSTRAP} {error}") from error


def store(settings: Settings) -> Store:
    """Return the raw store; one that has keys with those of the connection `fink_store`.

    Raises:
        OutOfSight: Airflow has no way to it.
    """
    if not settings.store.has_keys:
        return open_store(settings)
    keys = BaseHook.get_connection(STORE_CONNECTION)
    return open_store(settings, access_key=keys.login or "", secret_key=keys.password or "")


def store_secrets() -> list[str]:
    """Return the values of the store's keys, which are to be hidden wherever they turn up."""
    try:
        keys = BaseHook.get_connection(STORE_CONNECTION)
    except AirflowNotFoundException:
        return []
    return [key for key in (keys.login, keys.password) if key]


def notify_targets() -> list[str]:
    """Return the addresses for messages, which are secrets; none without the connection."""
    try:
        targets = (BaseHook.get_connection(NOTIFY_CONNECTION).password or "").split()
    except AirflowNotFoundException:
        return []
    # Airflow hides a password as a whole; a message might quote one address of several.
    for target in targets:
        mask_secret(target)
    return targets


def docker_client() -> Any:
    """Return a client of the Docker API, logged in where the connection has a password.

    The engine is what DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH name, the three that
    `minikube docker-env` prints; without them the local socket.
    """
    from airflow.providers.docker.hooks.docker import DockerHook
    from docker.errors import APIError

    engine = docker_engine(os.environ)
    try:
        client = DockerHook(
            docker_conn_id=DOCKER_CONNECTION if registry_login() else None,
            timeout=600,
            **engine,
        ).api_client
    except APIError as error:
        raise NotPermitted(
            f"the Docker engine or the registry refuses the login of {DOCKER_CONNECTION}: "
            f"{error.explanation}; correct the connection's host, login and password"
        ) from error
    except AirflowException as error:
        raise Unavailable(
            f"the Docker engine {engine['base_url']} does not answer; see DOCKER_HOST, "
            "DOCKER_TLS_VERIFY and DOCKER_CERT_PATH of this worker"
        ) from error
    return client


def docker_engine(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return where the Docker engine is, by the variables that Docker's own client knows.

    Raises:
        InvalidRequest: TLS is asked for without the folder of its certificates.
    """
    address = environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not environment.get("DOCKER_TLS_VERIFY"):
        return {"base_url": address}
    folder = Path(environment.get("DOCKER_CERT_PATH") or "")
    files = [folder / name for name in ("ca.pem", "cert.pem", "key.pem")]
    for file in files:
        if not file.is_file():
            raise InvalidRequest(
                f"DOCKER_TLS_VERIFY is set, but DOCKER_CERT_PATH has no {file.name}; set it to the "
                "folder that minikube docker-env prints"
            )
    ca, certificate, key = map(str, files)
    tls = _tls_config()(client_cert=(certificate, key), ca_cert=ca, verify=True)
    return {"base_url": address.replace("tcp://", "https://", 1), "tls": tls}


def _tls_config() -> type[Any]:
    from docker.tls import TLSConfig

    class EngineTls(TLSConfig):
        """Trust the engine's own authority, not the one that REQUESTS_CA_BUNDLE would put first."""

        def configure_client(self, client: Any) -> None:
            super().configure_client(client)
            client.trust_env = False

    return EngineTls


def registry_login() -> Login | None:
    """Return the registry's login of the connection `docker_default`, if it has a password."""
    try:
        found = BaseHook.get_connection(DOCKER_CONNECTION)
    except AirflowNotFoundException:
        return None
    if not found.password:
        return None
    host = (found.host or "").partition("://")[2] or found.host or ""
    host = host.strip("/") + (f":{found.port}" if found.port else "")
    return Login(host, found.login or "", found.password)

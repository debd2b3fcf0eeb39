"""Clients made from Airflow connections, for the adapters."""

from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from fink_k8s.adapters.cluster import Cluster
from fink_k8s.adapters.storage import Store
from fink_k8s.core.settings import Settings

STREAMS_CONNECTION = "kubernetes_default"
"""The account that runs streams: no rights over roles, secrets or other namespaces."""
ADMIN_CONNECTION = "kubernetes_admin"
"""The account that grants rights; only the stages `preflight` and `rbac` use it."""
STORE_CONNECTION = "fink_store"
DOCKER_CONNECTION = "docker_default"


def cluster(conn_id: str = STREAMS_CONNECTION) -> Cluster:
    """Return the cluster behind an Airflow connection."""
    return Cluster(KubernetesHook(conn_id=conn_id).get_conn())


def store(settings: Settings) -> Store:
    """Return the raw store, with the keys of the connection `fink_store`."""
    settings.need("store_prefix")
    keys = BaseHook.get_connection(STORE_CONNECTION)
    return Store(
        settings.store_prefix,
        settings.store_endpoint,
        access_key=keys.login or "",
        secret_key=keys.password or "",
    )


def store_secrets() -> list[str]:
    """Return the values of the store's keys, which are to be hidden wherever they turn up."""
    try:
        keys = BaseHook.get_connection(STORE_CONNECTION)
    except AirflowNotFoundException:
        return []
    return [key for key in (keys.login, keys.password) if key]


def docker_client() -> Any:
    """Return a client of the Docker API, logged in where the connection has a password."""
    import os

    from airflow.providers.docker.hooks.docker import DockerHook

    try:
        has_login = bool(BaseHook.get_connection(DOCKER_CONNECTION).password)
    except AirflowNotFoundException:
        has_login = False
    return DockerHook(
        docker_conn_id=DOCKER_CONNECTION if has_login else None,
        base_url=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        timeout=600,
    ).api_client

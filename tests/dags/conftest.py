"""Every DAG file, parsed as the DAG processor parses it: without network and without settings."""

import pytest
import pytest_socket

from docs.generate import ROOT


@pytest.fixture(scope="session")
def bag():
    from airflow.dag_processing.dagbag import DagBag

    with pytest.MonkeyPatch.context() as patch:
        for name in ("KUBECONFIG", "DOCKER_HOST", "FINK_KAFKA_SERVERS", "FINK_STORE_PREFIX"):
            patch.delenv(name, raising=False)
        pytest_socket.disable_socket(allow_unix_socket=True)
        try:
            return DagBag(str(ROOT / "dags"))
        finally:
            pytest_socket.enable_socket()

"""One testbed and one Airflow for all end-to-end tests; each test has a night of its own."""

from collections.abc import Iterator

import pytest

from testbed.airflow import Airflow, AirflowClient
from tests.e2e.driving import Fink, kubectl


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    airflow = Airflow(tmp_path_factory.mktemp("airflow"), port=8081)
    airflow.start()
    yield airflow
    airflow.stop()


@pytest.fixture(scope="session")
def fink(airflow: Airflow) -> Fink:
    return Fink(AirflowClient(airflow))


@pytest.fixture(autouse=True)
def explain(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test fails, show what the cluster holds."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(kubectl("get", "sparkapplications,pods,events", "-o", "wide"))


@pytest.fixture
def ended() -> Iterator[list[str]]:
    """Collect streams that are deleted when the test is over."""
    streams: list[str] = []
    yield streams
    for stream in streams:
        kubectl("delete", "sparkapplication", stream, "--ignore-not-found", "--wait=true")

"""One testbed and one Airflow for all end-to-end tests; each test has a night of its own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from testbed.airflow import Airflow, AirflowClient
from tests.e2e.driving import Fink, kubectl
from tests.inbox import Inbox, open_inbox
from tests.surveys import PARTNER, ZTF, write_surveys

TOKEN = "canary-of-the-inbox"  # as Slack's or Telegram's stands in a target's address


def clock(minutes: int) -> str:
    """Return the time of day (UTC) so many minutes from now."""
    return f"{datetime.now(UTC) + timedelta(minutes=minutes):%H:%M}"


def without_schedules(folder: Path) -> dict[str, str]:
    """Return the settings of an Airflow in which no DAG begins by the clock."""
    # The one night of the day is over.
    over = {"zone": "UTC", "opens": clock(-3), "closes": clock(-2)}
    surveys = write_surveys(
        folder,
        ztf={**ZTF, "night": over},
        lsst={"night": over},
        partner={**PARTNER, "night": over},
    )
    return {"FINK_HEALTH_MINUTES": "1440", "FINK_SURVEYS": str(surveys)}


@pytest.fixture(scope="session")
def inbox() -> Iterator[Inbox]:
    """Where the messages of `fink_health` go."""
    with open_inbox() as inbox:
        yield inbox


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox) -> Iterator[Airflow]:
    connection = {"conn_type": "generic", "password": inbox.target(TOKEN)}
    environment = {
        "AIRFLOW_CONN_FINK_NOTIFY": json.dumps(connection),
        **without_schedules(tmp_path_factory.mktemp("surveys")),
    }
    airflow = Airflow(tmp_path_factory.mktemp("airflow"), port=8081, environment=environment)
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

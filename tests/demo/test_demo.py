"""`make demo`, smaller: what README promises is what happens."""

import httpx
import pytest

from testbed.airflow import Airflow
from testbed.places import ROOT
from tests.e2e.driving import kubectl

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.shows("docs/from-the-command-line.md#cluster")
def test_the_demo_ends_with_every_alert_accounted_for_and_runs_until_it_is_ended(demo):
    done = demo("--count", "1000", "--rate", "100")
    print(done.stdout, done.stderr)  # noqa: T201 - shown where the test fails
    assert done.returncode == 0
    assert "Complete: each valid alert is stored, each damaged one is set aside." in done.stdout
    for word in ("wait_for_first_batch", "sha256:", "alerts set aside", "http://localhost:8080"):
        assert word in done.stdout
    airflow = Airflow(ROOT / ".airflow")
    assert airflow.is_healthy()
    assert "RUNNING" in kubectl("get", "sparkapplications")
    assert demo("--down").returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(airflow.url, timeout=5)

"""A night by schedule: opened by the clock, closed by it, and green because it was verified."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from testbed.airflow import Airflow, AirflowClient
from tests.e2e.driving import Fink, kubectl
from tests.e2e.night import NIGHT_DAG
from tests.surveys import ZTF, write_surveys

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(1500),
]


@pytest.fixture(scope="module")
def window():
    """A night that opens in two minutes and lasts three, in UTC."""
    opens = (datetime.now(UTC) + timedelta(minutes=3)).replace(second=0, microsecond=0)
    return opens, opens + timedelta(minutes=3)


@pytest.fixture(scope="module")
def fink(tmp_path_factory, window):
    """An Airflow of its own, whose nights are these."""
    opens, closes = window
    night = {"zone": "UTC", "opens": f"{opens:%H:%M}", "closes": f"{closes:%H:%M}"}
    home = tmp_path_factory.mktemp("scheduled")
    nights = {"FINK_SURVEYS": str(write_surveys(home, ztf={**ZTF, "night": night}))}
    airflow = Airflow(home, port=8082, environment=nights)
    airflow.start()
    yield Fink(AirflowClient(airflow))
    airflow.stop()


@pytest.mark.shows("docs/from-the-command-line.md#nights")
def test_the_clock_opens_and_closes_a_night(fink, store, window, record_property):
    opens, closes = window
    night = f"{opens:%Y%m%d}"
    stream, topic = f"stream2raw-ztf-{night}", f"ztf_public_{night}"
    client = fink.client
    assert fink.run("fink_rbac").state == "success"
    assert fink.run("fink_image").state == "success"
    before = store.counts(night).read
    client.wait_for_dag(NIGHT_DAG)
    assert datetime.now(UTC) < opens, "the night is not to have opened before it is waited for"
    client._http.patch(f"/api/v2/dags/{NIGHT_DAG}", json={"is_paused": False}).raise_for_status()
    try:
        time.sleep(max(0.0, (opens - datetime.now(UTC)).total_seconds() - 5))
        assert client.runs(NIGHT_DAG) == []
        run_id = client.wait_for_new_run(NIGHT_DAG, [], wait_seconds=60)
        record_property("begun after s", round((datetime.now(UTC) - opens).total_seconds()))
        assert night in run_id
        fink.produce(topic, 200, corrupt=4)
        for _ in client.follow(NIGHT_DAG, run_id, 1200):
            pass
        assert client.run_state(NIGHT_DAG, run_id) == "success"
        watched = client.xcom(NIGHT_DAG, run_id, "watch_until_end")
        assert datetime.fromisoformat(watched["ended_at"]) >= closes
        counts = client.xcom(NIGHT_DAG, run_id, "verify_night")["counts"]
        record_property("counts", counts)
        assert counts["read"] - before == 200
        assert counts["read"] == counts["stored"] + counts["set_aside"]
        states = {one["task_id"]: one["state"] for one in client.tasks(NIGHT_DAG, run_id)}
        assert states["report_night"] == "success"
        assert client.xcom(NIGHT_DAG, run_id, "report_night")
        assert client.runs(NIGHT_DAG) == [run_id]
    finally:
        client._http.patch(f"/api/v2/dags/{NIGHT_DAG}", json={"is_paused": True})
        kubectl("delete", "sparkapplication", stream, "--ignore-not-found")

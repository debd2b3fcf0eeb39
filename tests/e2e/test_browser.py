"""What an astronomer does who never saw Airflow: read, fill in, be refused, trigger, look, stop."""

import time

import pytest

from testbed.browser import person_at
from testbed.places import ROOT
from tests.e2e.driving import DEPLOY, STOP, drivers, kubectl, unused_night

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(600)]

NIGHT = unused_night(9)
STREAM = f"stream2raw-ztf-{NIGHT}"
FILES = {file.stem for file in (ROOT / "dags").glob("*.py")}
DAG_IDS = sorted(FILES - {"fink_night"} | {"fink_night_ztf", "fink_night_partner"})
TOPIC = f"browser_{time.time():.0f}"


@pytest.fixture(scope="module")
def person(airflow, fink):
    for dag_id in (DEPLOY, STOP):
        fink.client.wait_for_dag(dag_id)
    fink.produce(TOPIC, 200)
    with person_at(airflow) as person:
        yield person
    kubectl("delete", "sparkapplication", STREAM, "--ignore-not-found")


@pytest.mark.shows("docs/from-the-command-line.md#spark-ui")
def test_a_night_is_brought_up_and_stopped_from_the_browser(person, fink):
    person.open_dag(DEPLOY)
    assert_explained(person)
    form = person.open_form()
    runs = fink.client.runs(DEPLOY)
    person.send(form, night="2026-1", topic=TOPIC)
    assert "param night" in person.refusal(form)
    assert fink.client.runs(DEPLOY) == runs, "a refused form starts nothing"
    person.send(form, night=NIGHT, topic=TOPIC)
    run = fink.client.wait_for_new_run(DEPLOY, runs)
    ended(fink, DEPLOY, run)
    person.follow_run(DEPLOY, run, "Success", seconds=30)
    for task in ("check_prerequisites", "wait_for_first_batch"):
        assert person.page.get_by_text(task).first.is_visible()

    person.follow_link(DEPLOY, run, "submit.submit_application", "Spark UI")
    assert "Spark Jobs" in person.page.title()
    assert f"/streams/{STREAM}/ui/" in person.page.url
    assert drivers(STREAM)[0]["status"]["phase"] == "Running"

    person.open_dag(STOP)
    runs = fink.client.runs(STOP)
    person.send(person.open_form(), night=NIGHT)
    run = fink.client.wait_for_new_run(STOP, runs)
    ended(fink, STOP, run)
    person.follow_run(STOP, run, "Success", seconds=30)
    assert drivers(STREAM) == []
    assert STREAM not in kubectl("get", "sparkapplications")


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_dag_explains_itself_and_has_a_form_that_can_be_sent(person, fink, dag_id):
    fink.client.wait_for_dag(dag_id)
    person.open_dag(dag_id)
    assert_explained(person)
    button = person.open_form().get_by_role("button", name="Trigger")
    button.scroll_into_view_if_needed()
    assert button.is_enabled()


def assert_explained(person):
    """The page of the DAG that is open answers what one wants to know first."""
    page = person.documentation()
    for promise in ("When to run it:", "Safe to repeat:", "Success:", "If it fails:"):
        assert promise in page


def ended(fink, dag_id, run):
    """Wait for a run's end; its pages say much of its tasks before it has one."""
    for _ in fink.client.follow(dag_id, run, wait_seconds=300):
        pass
    assert fink.client.run_state(dag_id, run) == "success"

"""A night from its beginning to its proof: two runs of it, one driver, which dies in between."""

import time
from types import SimpleNamespace

import pytest

from testbed.browser import person_at
from tests.e2e.driving import kubectl, unused_night
from tests.e2e.night import (
    NIGHT_DAG,
    DriverCount,
    Night,
    form_of,
    kill_driver,
    wait_until_committed,
)

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(700)]

HEALTH, LOOK = "fink_health", "report_health"
NIGHT = unused_night(7)
PARTNER = f"stream2raw-partner-{NIGHT}"
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"night_{time.time():.0f}"


@pytest.fixture(scope="module")
def night(fink, store, inbox):
    """Run the night; while it lasts, its driver is killed, and alerts come after its end.

    A night of another survey runs beside it, undisturbed.
    """
    # Already so where a stream was brought up before; of a new testbed they are the first to come.
    for dag_id in ("fink_rbac", "fink_image"):
        assert fink.run(dag_id).state == "success"
    fink.produce(TOPIC, 200, corrupt=4)
    # By the survey's own template: its form names no topic.
    fink.produce(f"partner_{NIGHT}", 120, corrupt=3)
    form = form_of(NIGHT, TOPIC, seconds=150)
    with DriverCount(STREAM) as count:
        first, second = Night(fink, form), Night(fink, form)
        partner = Night(fink, form_of(NIGHT, "", seconds=150), survey="partner")
        for run in (first, second, partner):
            run.wait_for("watch_until_end", "deferred")
        side_by_side = {name: alive(name) for name in (STREAM, PARTNER)}
        batch = wait_until_committed(store, NIGHT)
        watched = fink.run(HEALTH).xcom(LOOK)
        kill_driver(STREAM)
        fink.produce(TOPIC, 100)
        wait_until_committed(store, NIGHT, batch + 1)
        first.wait_for("drain_late_alerts", "deferred", "running", "success")
        fink.produce(TOPIC, 50)
        states = first.end(), second.end()
        partner_state = partner.end()
    inbox.messages.clear()
    assert fink.run(HEALTH).state == "success"
    yield SimpleNamespace(
        first=first, second=second, states=states, count=count, watched=watched,
        told=[body for body in inbox.bodies() if STREAM in body],
        partner=partner, partner_state=partner_state, side_by_side=side_by_side,
    )  # fmt: skip
    kubectl("delete", "sparkapplication", STREAM, PARTNER, "--ignore-not-found")


def alive(stream):
    """Return the phase of the stream's driver."""
    pod = f"{stream}-driver"
    return kubectl("get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.status.phase}")


@pytest.fixture(scope="module")
def partner_store(environment, settings):
    """Return the folder of the store that is the other survey's own."""
    from fink_k8s.adapters.store.raw_store import open_store
    from fink_k8s.core.store.stores import prefix_below

    prefix = prefix_below(settings.store_prefix, "partner")
    return open_store(
        settings.model_copy(update={"store_prefix": prefix}),
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.mark.shows("docs/from-the-command-line.md#nights")
def test_it_ends_by_itself_and_is_green_because_it_was_verified(night, store):
    assert night.states[0] == "success"
    facts = night.first.xcom("verify_night")
    assert facts["counts"] == {
        "batches": facts["counts"]["batches"], "read": 350, "stored": 346, "set_aside": 4
    }  # fmt: skip
    assert store.counts(NIGHT).is_complete
    assert sum(one["end"] - one["start"] for one in facts["offsets"]) == 350


def test_of_two_runs_at_once_one_makes_the_stream_and_the_other_adopts_it(night):
    runs = night.first, night.second
    ways = [run.xcom("submit.submit_application")["way"] for run in runs]
    assert sorted(ways) == ["adopted", "created"]
    assert night.states == ("success", "success")
    told = [run.xcom("verify_night")["adopted"] for run in runs]
    assert told == [way == "adopted" for way in ways]


def test_there_is_one_driver_at_all_times(night):
    assert night.count.looks > 60
    assert night.count.most == 1
    assert len(night.count.uids) == 2, "its driver was killed, so that there were two, one by one"


def test_the_restart_is_noted_with_its_cause_and_how_long_it_took(night):
    first = night.first
    [restart] = first.xcom("watch_until_end")["restarts"]
    assert restart["by"] == "operator"
    assert "the driver's pod was deleted" in restart["cause"]
    assert restart["lived_s"] > 0
    assert 0 < restart["back_after_s"] < 60


@pytest.mark.parametrize("task", ["wait_until_healthy", "watch_until_end", "drain_late_alerts"])
def test_what_waits_holds_no_worker(night, task):
    assert "Pausing task as DEFERRED" in night.first.log(task) + night.second.log(task)


def test_alerts_that_come_after_the_end_are_waited_for(night):
    # Which of the two runs is the first to have waited is chance; the other may find it stopped.
    waits = [run.xcom("drain_late_alerts") for run in (night.first, night.second)]
    drained = [one for one in waits if one["is_drained"]]
    assert drained
    assert all(one["lag"] == 0 and one["waited_s"] >= 10 for one in drained)
    assert {one["sign"] for one in waits} <= {"drained", "gone"}


def test_the_stream_is_stopped_gracefully_and_nothing_is_left(night):
    # Which of the two runs is the first to stop it is chance; the other finds it so, or helps.
    endings = {run.xcom("stop_stream")["ending"] for run in (night.first, night.second)}
    assert "graceful" in endings
    assert endings <= {"graceful", "already-so"}
    left = kubectl("get", "sparkapplications,pods,services,configmaps", "-o", "yaml")
    assert STREAM not in left


@pytest.mark.shows("docs/from-the-command-line.md#nights")
def test_the_morning_s_page_says_it_in_one_sentence_with_the_offsets(night):
    first = night.first
    report = first.xcom("report_night")
    assert report["verified"]
    assert "350 alerts read = 346 stored + 4 set aside" in report["sentence"]
    assert "1 restart (the driver's pod was deleted" in report["sentence"]
    page = first.client.page(f"/fink/nights/{STREAM}")
    assert page.status_code == 200
    assert "346 stored" in page.text
    assert "<svg" in page.text


def test_a_person_finds_it_by_a_click_and_in_the_menu(night, airflow):
    with person_at(airflow) as person:
        person.follow_link(NIGHT_DAG, night.first.run_id, "verify_night", "Night report")
        assert "346 stored" in person.page.inner_text("body")
        person.open_menu("Browse", "Fink nights")
        row = person.page.frame_locator("iframe").get_by_text(NIGHT).first
        row.wait_for(timeout=15_000)


def test_other_dags_hear_of_the_night(night):
    first = night.first
    events = first.client._get("/api/v2/assets/events")["asset_events"]
    [extra] = [one["extra"] for one in events if one["source_run_id"] == first.run_id]
    assert (extra["night"], extra["verified"], extra["counts"]["stored"]) == (NIGHT, True, 346)


def test_fink_health_says_that_it_is_well_and_takes_its_end_for_none(night):
    [line] = [one for one in night.watched if one["stream"] == STREAM]
    assert (line["level"], line["figures"]["state"]) == ("well", "RUNNING")
    assert night.told == []


@pytest.mark.shows("CONTRIBUTING.md#add-survey")
def test_two_surveys_run_side_by_side_each_with_its_own_topic_and_folder(
    night, store, partner_store
):
    assert night.side_by_side == {STREAM: "Running", PARTNER: "Running"}
    assert night.partner_state == "success"
    facts = night.partner.xcom("verify_night")
    assert facts["topic"] == f"partner_{NIGHT}"
    assert (facts["counts"]["stored"], facts["counts"]["set_aside"]) == (117, 3)
    counts = partner_store.counts(NIGHT)
    assert (counts.read, counts.stored, counts.set_aside) == (120, 117, 3)
    # What the other survey has stored of the same date is as it was without this one.
    assert store.counts(NIGHT).read == 350

from datetime import UTC, datetime, timedelta

from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.health.stream_health import assess
from fink_k8s.core.night.driver_history import DriverHistory

START = datetime(2026, 1, 1, 20, 0, tzinfo=UTC)
LIVE = {"gauges": {"spark-1.driver.spark.streaming.q.latency": {"value": 0}}}


def at(seconds):
    return START + timedelta(seconds=seconds)


def running(started=0, metrics=LIVE, **metadata):
    since = f"{at(started):%Y-%m-%dT%H:%M:%SZ}"
    containers = [{"state": {"running": {"startedAt": since}}}]
    pod = {
        "metadata": {"name": "s-driver", "uid": "p", "labels": {"spark-role": "driver"}} | metadata,
        "spec": {"containers": [{"image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": containers},
    }
    return Evidence(application("RUNNING"), [pod], metrics)


def application(state):
    return {"metadata": {"uid": "a"}, "status": {"applicationState": {"state": state}}}


def after(*looks):
    driver = DriverHistory()
    for second, evidence in looks:
        driver = driver.after(evidence, assess(evidence), at(second))
    return driver


def test_one_that_lives_has_run_since_its_start():
    driver = after((10, running()), (70, running()))
    assert (driver.started, driver.lived_s, driver.was_alive) == (at(0), 70, True)
    assert (driver.down_since, driver.cause) == (None, "")


def test_one_that_went_has_its_life_until_it_was_last_seen_well():
    driver = after((70, running()), (80, Evidence(application("FAILING"))))
    assert (driver.lived_s, driver.down_since) == (70, at(80))
    assert driver.last["metadata"]["uid"] == "p", "it is remembered when it is gone"


def test_the_next_one_begins_anew_and_the_life_of_the_last_is_kept():
    driver = after((70, running()), (90, running(started=85, metrics=None)))
    assert (driver.started, driver.was_alive) == (at(85), False)
    assert (driver.lived_s, driver.before_s, driver.down_since) == (0, 70, at(90))


def test_one_that_was_taken_away_has_that_cause_until_the_next_one_starts():
    gone = Evidence(application("RUNNING"))
    failing = Evidence(application("FAILING"), driver_log="out of memory")
    taken = after((70, running()), (80, gone))
    assert (taken.is_taken, taken.was_taken) == (True, True)
    later = after((70, running()), (80, gone), (90, failing))
    assert (later.is_taken, later.was_taken) == (False, True)
    assert later.cause == taken.cause
    assert not after((70, running()), (80, gone), (90, running(started=85))).was_taken


def test_one_that_is_going_is_taken_away_though_its_query_still_lives():
    going = running(deletionTimestamp="2026-01-01T20:01:00Z")
    assert after((10, running()), (20, going), (22, going)).was_taken


def test_a_history_is_a_value():
    first = after((70, running()))
    first.after(Evidence(None), assess(Evidence(None)), at(80))
    assert first == after((70, running()))

from datetime import UTC, datetime

import pytest

from fink_k8s.core.stop.stop_course import Course, DriverEnd
from fink_k8s.core.stop.stop_outcome import Ending, Kept, outcome_of

STREAM = "stream2raw-ztf-20060101"
NOW = datetime(2026, 1, 1, 20, tzinfo=UTC)
FOUND = (
    f"ConfigMap {STREAM}-1",
    "ConfigMap b",
    f"Pod {STREAM}-driver",
    f"SparkApplication {STREAM}",
)
COUNTS = {"batches": 13, "read": 1300, "stored": 1298, "set_aside": 2}
KEPT = Kept.of_night("s3a://fink", "20060101").model_copy(
    update={"planned": 12, "committed": 12, "counts": COUNTS}
)
CUT = KEPT.model_copy(update={"planned": 13})
UNREAD = Kept.of_night("s3a://fink", "20060101").model_copy(update={"unread": "no key"})


def course(**changes):
    fields = {"stream": STREAM, "began": NOW, "was": "RUNNING", "was_alive": True, "found": FOUND}
    return Course(**{**fields, **changes})


def end(exit_code=None, said=""):
    return DriverEnd(exit_code=exit_code, said=said)


@pytest.mark.parametrize(
    ("changes", "kept", "ending"),
    [
        ({"found": (), "was": "", "was_alive": False}, KEPT, Ending.ALREADY_SO),
        ({"was": "SUSPENDED", "was_alive": False}, KEPT, Ending.NO_DRIVER),
        ({"end": end(0, "ended: asked to")}, KEPT, Ending.GRACEFUL),
        ({"end": end()}, KEPT, Ending.GRACEFUL),
        ({"end": end(0)}, Kept(), Ending.GRACEFUL),
        ({"end": end(0, "ended: asked to")}, UNREAD, Ending.UNPROVED),
        ({"end": end()}, UNREAD, Ending.UNPROVED),
        ({"end": end(143)}, KEPT, Ending.ABRUPT),
        ({"end": end(1, "failed: no store")}, UNREAD, Ending.ABRUPT),
        ({"end": end(0, "ended: asked to")}, CUT, Ending.ABRUPT),
        ({"end": end(137), "killed": NOW}, CUT, Ending.KILLED),
        ({"end": end(), "forced": NOW}, KEPT, Ending.KILLED),
    ],
)
def test_a_graceful_end_is_claimed_only_where_it_was_seen(changes, kept, ending):
    assert outcome_of(course(**changes), kept, 5.23).ending is ending


def test_the_line_says_what_it_was_how_it_ended_what_is_gone_and_what_was_left():
    outcome = outcome_of(course(end=end(0, "ended: asked to")), KEPT, 5.23)
    assert outcome.line == (
        f"{STREAM}: was RUNNING, ended gracefully in 5.2 s (exit code 0, its last message: ended: "
        "asked to). Its last batch, 12, is committed. Removed: 2 ConfigMap, 1 Pod, 1 "
        "SparkApplication. Kept: data s3a://fink/raw/20060101, checkpoint "
        "s3a://fink/raw_checkpoint/20060101, 13 batches: 1300 read = 1298 stored + 2 set aside."
    )
    assert outcome.model_dump(mode="json")["kept"]["counts"] == COUNTS


def test_a_batch_that_was_cut_is_named():
    line = outcome_of(course(end=end(137), killed=NOW), CUT, 3).line
    assert "killed after 3.0 s (exit code 137)" in line
    assert "Batch 13 was started but not committed; the next start repeats it" in line


def test_a_stream_that_does_not_exist_is_reported_as_such():
    kept = Kept.of_night("s3a://fink", "20060101")
    line = outcome_of(course(found=(), was="", was_alive=False), kept, 0.1).line
    assert line == (
        f"{STREAM}: nothing to stop, it does not exist. No batch was started: it has no data and "
        "no checkpoint."
    )


def test_a_store_that_cannot_be_read_is_said():
    line = outcome_of(course(end=end(0)), UNREAD, 3).line
    assert "ended by itself" in line
    assert "Could not read whether its last batch is committed: no key." in line
    assert "data s3a://fink/raw/20060101" in line


def test_claims_that_stay_are_named():
    kept = KEPT.model_copy(update={"claims": ("fink-data",)})
    assert "claim fink-data" in outcome_of(course(), kept, 3).line

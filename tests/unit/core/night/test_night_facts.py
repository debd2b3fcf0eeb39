import re
from datetime import timedelta, timezone

import pytest

from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.night.night_facts import Drained, NightFacts
from tests.facts import END, START, facts_of, partition

TOPIC = "ztf_public_20260101"


def test_a_night_of_which_all_is_stored_or_set_aside_is_verified():
    facts = facts_of()
    assert facts.is_verified
    assert (facts.survey, facts.night, facts.unread, facts.late) == ("ztf", "20260101", 0, 0)


def test_a_night_of_nothing_is_verified():
    facts = facts_of(counts=NightCounts(0, 0, 0, 0), offsets=(partition(0, 0, 0),))
    assert facts.is_verified


def test_alerts_that_came_after_the_end_are_told_and_not_missed():
    facts = facts_of(offsets=(partition(0, 0, 1234, due=1234, high=1240),))
    assert facts.is_verified
    assert facts.late == 6


def test_a_partition_that_is_no_longer_in_the_topic_has_no_late_alerts():
    gone = partition(1, 0, 34, begins=None, due=None, high=None)
    assert facts_of(offsets=(partition(0, 0, 1200), gone)).late == 0


def test_a_topic_whose_alerts_were_deleted_after_they_were_read_is_no_loss():
    assert facts_of(offsets=(partition(0, 0, 1234, begins=1000),)).is_verified


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"counts": None, "unseen": "no claim is seen"},
            "the alerts were not counted: no claim is seen",
        ),
        ({"counts": None}, "the alerts were not counted: the store was not read"),
        (
            {"counts": NightCounts(120, 1234, 1200, 4)},
            "30 alerts that were read are neither stored nor set aside",
        ),
        (
            {
                "counts": NightCounts(120, 1234, 1200, 4),
                "offsets": (partition(0, 0, 1234, begins=40),),
            },
            "the topic now begins at 40 of partition 0, beyond the night's start 0",
        ),
        ({"counts": NightCounts(120, 1234, 1234, 4)}, "4 more alerts .* are duplicated"),
        ({"broken": ("part-0.parquet: it is not there",)}, "1 files .*part-0.parquet"),
        ({"broken": tuple("abcde")}, r"5 files .* \(a, b, c and 2 more\)"),
        ({"topic_is_there": False, "offsets": ()}, f"topic {TOPIC} is not on the brokers"),
        (
            {"offsets": (partition(0, 0, 1234, due=1240, high=1250),)},
            r"6 alerts of the night remain unread .*: \[1234, 1240\) of partition 0",
        ),
        (
            {"offsets": (partition(0, 5, 1234, expected=0),)},
            rf"\[0, 5\) of partition 0 of {TOPIC} was never read",
        ),
        (
            {"offsets": (partition(0, 0, 1234, begins=1240, due=1250, high=1250),)},
            r"\[1234, 1240\) of partition 0 .* was deleted before it was read",
        ),
        (
            {"offsets": (partition(0, 0, 1234, due=7, high=7),)},
            "ends at 7, but the night was read up to 1234: the topic was re-created",
        ),
    ],
)
def test_what_speaks_against_a_night_is_named(changes, reason):
    facts = facts_of(**changes)
    assert not facts.is_verified
    assert re.search(reason, "\n".join(facts.reasons))


def test_of_what_was_deleted_unread_only_the_rest_counts_as_unread():
    facts = facts_of(offsets=(partition(0, 0, 1234, begins=1240, due=1250, high=1250),))
    assert facts.unread == 10


def test_a_drain_that_spoke_too_soon_is_contradicted():
    unread = (partition(0, 0, 1234, due=1240, high=1240),)
    facts = facts_of(offsets=unread, drain=Drained(lag=0, is_drained=True))
    assert "although the drain reported that all was read" in facts.reasons[0]
    assert "though" not in facts_of(offsets=unread).reasons[0]


def test_all_reasons_are_told_at_once():
    facts = facts_of(
        counts=NightCounts(120, 1234, 1200, 4),
        broken=("part-0.parquet: it is not there",),
        offsets=(partition(0, 5, 1234, expected=0, due=1240, high=1240),),
    )
    assert len(facts.reasons) == 4


def test_what_the_tasks_saw_is_taken_up_and_nothing_is_needed():
    facts = facts_of()
    assert facts.told_by(None, None, None) == facts
    told = facts.told_by(
        {
            "restarts": [
                {
                    "at": "2026-01-01T21:03:10+00:00",
                    "cause": "driver deleted",
                    "by": "operator",
                    "back_after_s": None,
                    "lived_s": 12.0,
                }
            ],
            "ended": "time-is-up",
        },
        {"lag": 0, "waited_s": 300.0, "is_drained": True, "restarts": []},
        {"line": "was RUNNING, ended gracefully", "ending": "graceful"},
        adopted=True,
    )
    assert [one.cause for one in told.restarts] == ["driver deleted"]
    assert (told.adopted, told.drain.waited_s, told.stop) == (
        True, 300.0, "was RUNNING, ended gracefully",
    )  # fmt: skip


def test_facts_survive_their_way_through_json():
    there = timezone(timedelta(hours=-8))
    facts = facts_of(
        start=START.astimezone(there), unseen="words", expected={"0": 1},
        offsets=(partition(0, 0, 1234, begins=None, due=None, high=None),),
    )  # fmt: skip
    back = NightFacts.model_validate_json(facts.model_dump_json())
    assert back == facts
    assert back.local(END).utcoffset() == timedelta(hours=-8)


def test_moments_are_told_in_the_nights_zone_also_after_a_change_of_the_clocks():
    facts = facts_of(zone="America/Santiago")
    assert f"{facts.local(END):%H:%M}" == "01:00"


def test_what_goes_on_knows_where_the_alerts_are_and_that_they_are_all():
    assert facts_of().as_extra() == {
        "survey": "ztf",
        "night": "20260101",
        "stream": "stream2raw-ztf-20260101",
        "topic": TOPIC,
        "address": "s3a://fink/raw/20260101",
        "offsets": {"0": [0, 1234]},
        "counts": {"batches": 120, "read": 1234, "stored": 1230, "set_aside": 4},
        "verified": True,
    }
    assert facts_of(counts=None).as_extra()["verified"] is False

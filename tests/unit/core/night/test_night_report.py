import json
import xml.etree.ElementTree as ET
from datetime import timedelta

import pytest

from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.night.night_facts import Drained
from fink_k8s.core.night.night_picture import picture_of
from fink_k8s.core.night.night_report import files_of, night_report_of, sentence_of, sparkline_of
from tests.facts import START, facts_of, partition, restart

EVIL = 'died <script>alert("1")</script> | `x` & "quotes"\nnext line'
SVG = "{http://www.w3.org/2000/svg}"


def test_the_sentence_says_all_in_one_line():
    named = "[out-of-memory] out of memory: the kernel killed it, exit code 137. Give it more"
    facts = facts_of(restarts=(restart(), restart(5, named, None)))
    assert sentence_of(facts) == (
        "ztf night 20260101: 1,234 alerts read = 1,230 stored + 4 set aside, each offset "
        "[0, 1234) of ztf_public_20260101 accounted for, in 120 batches; 2 restarts (driver "
        "deleted 21:03:10, back after 38 s; out of memory 23:03:10), longest gap 52 s, lag at the "
        "end 0."
    )


def test_a_night_of_nothing_says_so():
    facts = facts_of(counts=NightCounts(0, 0, 0, 0), offsets=(partition(0, 0, 0),))
    assert sentence_of(facts).startswith(
        "ztf night 20260101: no alert arrived in ztf_public_20260101; no restart"
    )


def test_a_night_of_which_nothing_was_read_does_not_say_that_nothing_came():
    unread = (partition(0, 0, 0, due=7, high=7),)
    told = sentence_of(facts_of(counts=NightCounts(0, 0, 0, 0), offsets=unread))
    assert "no alert arrived" not in told
    assert "NOT VERIFIED: 7 alerts of the night remain unread" in told


def test_a_night_that_is_not_verified_begins_with_that_and_claims_nothing():
    told = sentence_of(facts_of(counts=NightCounts(120, 1234, 1200, 4)))
    assert told.startswith("ztf night 20260101 is NOT VERIFIED: 30 alerts")
    assert "1,234 alerts read but 1,200 stored + 4 set aside" in told
    assert "accounted for" not in told


def test_a_night_that_nobody_counted_names_no_number():
    told = sentence_of(facts_of(counts=None, unseen="no claim is seen", offsets=()))
    assert (
        told == "ztf night 20260101 is NOT VERIFIED: the alerts were not counted: no claim is seen."
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (2, "each offset of ztf_public_20260101 ([0, 617) of partition 0, [0, 617) of"),
        (15, "each offset of the 15 partitions of ztf_public_20260101 accounted for"),
    ],
)
def test_of_many_partitions_the_sentence_stays_a_sentence(number, words):
    facts = facts_of(offsets=tuple(partition(n, 0, 617) for n in range(number)))
    assert words in sentence_of(facts)
    assert f"| {number - 1} | [0, 617) |" in night_report_of(facts)


def test_of_many_restarts_the_sentence_names_three_and_the_report_all():
    facts = facts_of(restarts=tuple(restart(n, f"cause {n} {'x' * 99}") for n in range(9)))
    told = sentence_of(facts)
    assert "9 restarts (cause 0 " in told
    assert "; 6 more)" in told
    assert len(told) < 700
    assert night_report_of(facts).count("| operator |") == 9


def test_the_report_shows_what_is_known_and_says_what_is_not():
    report = night_report_of(facts_of(counts=None, unseen="no way", offsets=(), curve=(),
                                longest_gap_s=None))  # fmt: skip
    assert "| alerts read | unknown |" in report
    assert "| longest gap | unknown |" in report
    assert "## Offsets" not in report
    drained = Drained(lag=3, waited_s=1800)
    report = night_report_of(facts_of(drain=drained, adopted=True, stop="ended gracefully"))
    assert "waited 1800 s until the drain gave up, lag 3" in report
    assert "adopted" in report
    assert "| stop | ended gracefully |" in report


def test_outside_text_does_not_break_the_table():
    facts = facts_of(restarts=(restart(cause=EVIL),), stop=EVIL)
    report = night_report_of(facts)
    assert "<script" not in report
    rows = [line for line in report.splitlines() if "alert(" in line and line.startswith("|")]
    assert len(rows) == 2
    for row in rows:
        assert row.replace("\\|", "").count("|") in (3, 5)


def drawn(facts):
    return ET.fromstring(picture_of(facts))


def marks(root, kind):
    return [one for one in root.iter() if one.get("class") == kind]


@pytest.mark.parametrize("number", [0, 1, 7])
def test_the_picture_marks_each_restart_and_shows_its_cause(number):
    root = drawn(facts_of(restarts=tuple(restart(n, EVIL) for n in range(number))))
    lines = marks(root, "restart")
    assert len(lines) == number
    assert len({line.get("x1") for line in lines}) == number
    for line in lines:
        assert "<script>" in line.find(f"{SVG}title").text, "told as text, not as markup"
    assert not [one for one in root.iter() if one.tag.endswith("script")]


def test_the_picture_can_be_read_by_those_who_do_not_see_it():
    root = drawn(facts_of(restarts=(restart(),)))
    assert root.get("role") == "img"
    named = root.get("aria-labelledby").split()
    told = {one.get("id"): one.text for one in root if one.get("id")}
    assert set(named) == set(told)
    assert "Restarts marked: 1." in told["night-description"]
    assert "at most 2 waited" in told["night-description"]


def test_the_picture_has_both_lines_the_lag_and_an_axis_in_the_nights_zone():
    root = drawn(facts_of(zone="America/Santiago"))
    for kind in ("came", "taken", "lag"):
        (line,) = marks(root, kind)
        assert len(line.get("points").split()) >= 11
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert "time of day (America/Santiago)" in texts
    clocks = [text for text in texts if len(text) == 5 and text[2] == ":"]
    assert clocks[0] == "16:00", "full hours, the first at or after the night's begin at 15:00"
    assert 3 <= len(clocks) <= 10


def test_all_that_is_drawn_lies_within_the_picture():
    facts = facts_of(restarts=(restart(-5), restart(50)))
    root = drawn(facts)
    _, _, width, height = map(float, root.get("viewBox").split())
    for one in root.iter():
        for pair in one.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
        if "x1" in one.attrib:
            assert 0 <= float(one.get("x1")) <= width


@pytest.mark.parametrize("seconds", [0, 1, 7, 60, 3_600, 86_400, 86_400 * 40])
def test_a_night_of_any_length_has_a_picture(seconds):
    curve = facts_of().curve[:2]
    last = curve[1].model_copy(update={"at": START + timedelta(seconds=seconds)})
    facts = facts_of(curve=(curve[0], last), start=START)
    texts = [one.text for one in drawn(facts).iter(f"{SVG}text")]
    assert len(texts) < 20
    assert sparkline_of(facts)


def test_a_night_whose_lag_nobody_knows_says_so_in_the_picture():
    facts = facts_of(curve=())
    assert "It is unknown" in picture_of(facts)
    assert marks(drawn(facts), "lag") == []
    assert sparkline_of(facts) == ""


def test_the_sparkline_shows_a_lag_of_one_and_the_times():
    line = sparkline_of(facts_of())
    assert line.startswith("18:00 ▁▅█▁▅█▁▅█▁▅ 04:00")
    assert "at most 2 alerts" in line


def test_a_night_without_lag_is_flat():
    curve = tuple(one.model_copy(update={"taken": one.arrived}) for one in facts_of().curve)
    assert set(sparkline_of(facts_of(curve=curve)).split()[1]) == {"▁"}


def test_the_files_of_a_report():
    files = files_of(facts_of())
    assert set(files) == {"report.md", "night.svg", "facts.json"}
    assert "night.svg" in files["report.md"]
    told = json.loads(files["facts.json"])
    assert (told["verified"], told["reasons"]) == (True, [])

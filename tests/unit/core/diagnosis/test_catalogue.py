"""Each category has one entry, and what a line says of a cause comes from nowhere else."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_k8s.core.diagnosis import catalogue
from fink_k8s.core.diagnosis.catalogue import CATALOGUE, Category, Entry, Wording
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_from, diagnosis_of
from fink_k8s.core.diagnosis.levels import HealthLevel, Severity

LIBRARY = Path(catalogue.__file__).parents[2]
WORDINGS = [
    (category, variant)
    for category, entry in CATALOGUE.items()
    for variant in ("", *entry.variants)
]
NAMES = st.from_regex(r"[a-z0-9][a-z0-9./@%-]*(:[0-9]+)?", fullmatch=True)


def test_each_category_has_one_entry_in_the_order_of_the_names():
    assert list(CATALOGUE) == list(Category)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", category) for category in Category)


@pytest.mark.parametrize(("category", "variant"), WORDINGS)
def test_a_wording_is_one_sentence_a_part_and_keeps_the_line_apart(category, variant):
    words = CATALOGUE[category].wording(variant)
    assert words.summary
    assert ": " not in words.summary
    assert ". " not in words.remedy
    assert re.fullmatch(r"[A-Z].*[^.\s]", words.remedy)


def test_summaries_differ_so_that_each_names_one_cause():
    summaries = [words.summary for entry in CATALOGUE.values() for words in entry.wordings]
    assert len(summaries) == len(set(summaries)) == len(WORDINGS)


def test_a_variant_without_a_remedy_has_that_of_its_entry():
    entry = Entry("a", "Do this", variants={"b": Wording("b"), "c": Wording("c", "Do that")})
    assert [words.remedy for words in entry.wordings] == ["Do this", "Do this", "Do that"]
    with pytest.raises(KeyError, match="unheard-of"):
        entry.wording("unheard-of")


def test_each_variant_is_used_by_a_check():
    checks = [
        path for path in (LIBRARY / "core/diagnosis").glob("*.py") if path.stem != "catalogue"
    ]
    text = "".join(path.read_text() for path in checks)
    for category, variant in WORDINGS:
        assert f'"{variant}"' in text, (category, variant)


def test_only_the_catalogue_words_a_diagnosis():
    made = [
        path.name for path in LIBRARY.rglob("*.py") if re.search(r"\bDiagnosis\(", path.read_text())
    ]
    assert made == ["causes.py"]


def test_a_cause_has_a_level_that_somebody_has_to_act_on():
    levels = {category: entry.level for category, entry in CATALOGUE.items()}
    assert levels[Category.LATE] is HealthLevel.LATE
    assert levels[Category.STALLED] is HealthLevel.STALLED
    assert levels[Category.QUERY_DEAD] is HealthLevel.DEAD
    assert levels[Category.CRASH_LOOP] is HealthLevel.TROUBLED
    well = {HealthLevel.WELL, HealthLevel.STARTING, HealthLevel.ENDED, HealthLevel.UNKNOWN}
    assert not well & {*levels.values()}


@pytest.mark.parametrize(
    ("category", "variant", "severity"),
    [
        (Category.CORRUPT_ALERTS, "", Severity.WARNING),
        (Category.TOPIC_MISSING, "awaited", Severity.WARNING),
        (Category.TOPIC_MISSING, "", Severity.ERROR),
        (Category.STALLED, "", Severity.ERROR),
    ],
)
def test_a_warning_is_what_stops_no_stream(category, variant, severity):
    values = {"share": "6%", "topic": "alerts"}
    assert diagnosis_of(category, "why", variant, **values).severity is severity


@given(st.sampled_from(WORDINGS), st.text(), NAMES)
def test_a_line_is_parsed_back_whatever_the_evidence_says(wording, detail, name):
    values = dict.fromkeys(("image", "node", "pod", "share", "topic"), name)
    category, variant = wording
    found = diagnosis_of(category, detail, variant, **values)
    line = str(found)
    read = diagnosis_from(f"stream2raw-ztf-20260101: {line}")
    plain = " ".join(detail.split()).rstrip(". ")
    severity = CATALOGUE[category].severity
    assert read == Diagnosis(category, found.summary, plain, found.remedy, severity)
    assert str(read) == line


def test_an_image_s_port_is_no_end_of_the_summary():
    line = str(diagnosis_of(Category.IMAGE_PULL, "not found", image="localhost:5000/fink:1"))
    read = diagnosis_from(line)
    assert read is not None
    assert read.summary == "image localhost:5000/fink:1 cannot be pulled"


def test_a_value_is_taken_as_it_is():
    found = diagnosis_of(Category.NODE_LOST, "why", node="{pod}", pod="{0} {image}")
    assert found.summary == "node {pod} of {0} {image} is lost"
    with pytest.raises(KeyError, match="pod"):
        diagnosis_of(Category.NODE_LOST, "why", node="node-7")

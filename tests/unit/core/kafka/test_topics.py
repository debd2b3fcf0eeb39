import re
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.kafka import topics

TODAY = date(2026, 3, 1)
TOPIC = st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True).filter(
    lambda t: t not in {".", ".."}
)


@pytest.mark.parametrize("topic", ["ztf_public_20260101", "a", "a.b-c_D", "...", "x" * 249])
def test_a_legal_topic_is_taken_as_it_is(topic):
    assert topics.topic_from(topic) == topic


@pytest.mark.parametrize(
    ("topic", "rule"),
    [
        ("", "is not a valid Kafka topic name"),
        (".", "is not a valid Kafka topic name"),
        ("..", "is not a valid Kafka topic name"),
        (".*", r"patterns such as \.\* are not allowed"),
        ("ztf_.*", "is not a valid Kafka topic name"),
        ("a|b", "is not a valid Kafka topic name"),
        ("a,b", "is not a valid Kafka topic name"),
        ("a b", "is not a valid Kafka topic name"),
        ("a\0b", "is not a valid Kafka topic name"),
        ("topic\n", "is not a valid Kafka topic name"),
        ("t\u043epic", "is not a valid Kafka topic name"),
        (None, "is not a valid Kafka topic name"),
        ("x" * 250, "has 250 characters; use at most 249"),
    ],
)
def test_what_is_not_one_legal_topic_is_refused(topic, rule):
    with pytest.raises(InvalidRequest, match=rule) as caught:
        topics.topic_from(topic)
    assert str(caught.value).startswith("topic ")


@settings(deadline=None)
@example("a.b", "axb")
@example("ztf.public", "ztf_public")
@example("ztf_public_20260101", "ztf_public_20260101_test")
@given(TOPIC, TOPIC)
def test_a_topics_pattern_is_found_in_this_topic_and_no_other(topic, other):
    pattern = topics.topic_pattern(topic)
    assert re.search(pattern, topic)
    assert bool(re.search(pattern, other)) is (topic == other)
    assert topics.topic_of_pattern(pattern) == topic


def test_no_pattern_is_made_of_a_pattern():
    with pytest.raises(InvalidRequest, match="patterns"):
        topics.topic_pattern(".*")

from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from fink_k8s.adapters.kafka import broker
from fink_k8s.adapters.kafka.broker import Arrivals, check_topic, topic_offsets
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.diagnosis.positions import Topic

# Of partition 1 no message is younger than the limit.
OFFSETS = {"earliest": {0: 5, 1: 0}, "due": {0: 20, 1: -1}, "latest": {0: 25, 1: 8}}


class Admin:
    error = None

    def __init__(self, options):
        self.options = options

    def list_topics(self, timeout):
        if self.error:
            raise self.error
        return SimpleNamespace(topics={"night": SimpleNamespace(partitions={1: None, 0: None})})

    def list_offsets(self, asked, request_timeout):
        answers = {}
        for partition, spec in asked.items():
            kinds = {type(OffsetSpec.earliest()): "earliest", type(OffsetSpec.latest()): "latest"}
            kind = kinds.get(type(spec), "due")
            answers[partition] = Future()
            offset = OFFSETS[kind][partition.partition]
            answers[partition].set_result(SimpleNamespace(offset=offset))
        return answers


@pytest.fixture(autouse=True)
def admin(monkeypatch):
    monkeypatch.setattr(broker, "AdminClient", Admin)
    monkeypatch.setattr(Admin, "error", None)
    return Admin


def test_a_topic_has_offsets_and_what_is_due():
    overdue = timedelta(minutes=2)
    assert topic_offsets("kafka:9092", "night", overdue) == Topic(
        "night", {0: 5, 1: 0}, {0: 25, 1: 8}, {0: 20, 1: 8}, overdue
    )


def test_a_topic_that_is_not_there_has_no_partitions():
    assert topic_offsets("kafka:9092", "other").ends == {}
    assert check_topic("kafka:9092", "night") == 2
    with pytest.raises(InvalidRequest, match="other"):
        check_topic("kafka:9092", "other")


@pytest.mark.parametrize("ask", [topic_offsets, check_topic])
def test_a_broker_that_is_away_is_told_with_its_address(admin, monkeypatch, ask):
    away = KafkaException(KafkaError(KafkaError._TRANSPORT))
    monkeypatch.setattr(admin, "error", away)
    with pytest.raises(Unavailable, match=r"kafka:9092 .*FINK_KAFKA_SERVERS"):
        ask("kafka:9092", "night")


MOMENT = datetime(2025, 1, 1, 20, tzinfo=UTC)


def test_what_came_before_a_moment_is_asked_for_once(admin, monkeypatch):
    arrivals = Arrivals("kafka:9092", "night")
    assert arrivals.span() == {0: (5, 25), 1: (0, 8)}
    # Of partition 1 none came later: all that the span saw had come.
    assert arrivals.before(MOMENT) == {0: 20, 1: 8}
    monkeypatch.setattr(admin, "list_offsets", None)
    assert arrivals.before(MOMENT) == {0: 20, 1: 8}


def test_alerts_that_come_while_one_looks_are_not_of_the_night(monkeypatch):
    arrivals = Arrivals("kafka:9092", "night")
    arrivals.span()
    monkeypatch.setitem(OFFSETS, "due", {0: 99, 1: -1})
    assert arrivals.before(MOMENT) == {0: 25, 1: 8}


def test_a_moment_is_asked_for_in_milliseconds_of_unix_time(admin, monkeypatch):
    asked = []
    monkeypatch.setattr(broker, "OffsetSpec", SimpleNamespace(
        earliest=OffsetSpec.earliest, latest=OffsetSpec.latest, for_timestamp=asked.append,
    ))  # fmt: skip
    arrivals = Arrivals("kafka:9092", "night")
    arrivals.span()
    arrivals.before(MOMENT)
    assert asked[-1] == MOMENT.timestamp() * 1000


def test_a_topic_that_is_gone_has_no_span():
    assert Arrivals("kafka:9092", "other").span() == {}


def test_a_broker_that_goes_away_while_one_looks_is_told(admin, monkeypatch):
    arrivals = Arrivals("kafka:9092", "night")
    arrivals.span()

    def away(*_, **__):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(admin, "list_offsets", away)
    with pytest.raises(Unavailable, match="kafka:9092"):
        arrivals.before(MOMENT)

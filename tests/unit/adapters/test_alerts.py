from concurrent.futures import Future
from datetime import timedelta
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from fink_k8s.adapters import alerts
from fink_k8s.adapters.alerts import check_topic, topic_offsets
from fink_k8s.core.diagnosis import Topic
from fink_k8s.core.errors import InvalidRequest, Unavailable

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
    monkeypatch.setattr(alerts, "AdminClient", Admin)
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

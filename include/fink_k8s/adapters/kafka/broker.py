"""Kafka, as preflight, diagnosis and report see it: the broker, the topic, its offsets."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.diagnosis.positions import Topic


def check_topic(servers: str, topic: str, timeout: float = 8) -> int:
    """Return the number of partitions of `topic`. `timeout` is in seconds.

    Raises:
        Unavailable: no broker answers.
        InvalidRequest: the topic does not exist.
    """
    topics = _metadata(_admin(servers, timeout), servers, timeout).topics
    if topic not in topics:
        raise InvalidRequest(
            f"topic {topic} does not exist on {servers}; check the night, or create the topic"
        )
    return len(topics[topic].partitions)


def check_brokers(servers: str, timeout: float = 8) -> int:
    """Return the number of brokers of the cluster behind `servers`. `timeout` is in seconds.

    Raises:
        Unavailable: none answers.
    """
    return len(_metadata(_admin(servers, timeout), servers, timeout).brokers)


def topic_offsets(
    servers: str, topic: str, overdue: timedelta = timedelta(minutes=5), timeout: float = 8
) -> Topic:
    """Return a topic's first and last offsets, and which alerts have waited for `overdue`.

    `timeout` is in seconds. A topic that is not there has no partitions.

    Raises:
        Unavailable: no broker answers.
    """
    admin = _admin(servers, timeout)
    metadata = _metadata(admin, servers, timeout).topics.get(topic)
    if metadata is None:
        return Topic(topic, overdue=overdue)
    where = [TopicPartition(topic, number) for number in sorted(metadata.partitions)]
    limit = int((datetime.now(UTC) - overdue).timestamp() * 1000)
    try:
        starts = _offsets(admin, where, OffsetSpec.earliest(), timeout)
        due = _offsets(admin, where, OffsetSpec.for_timestamp(limit), timeout)
        ends = _offsets(admin, where, OffsetSpec.latest(), timeout)
    except KafkaException as error:
        raise _unavailable(servers, error) from error
    # No alert is younger than the limit: all are older.
    due = {number: ends[number] if offset < 0 else offset for number, offset in due.items()}
    return Topic(topic, starts, ends, due, overdue)


class Arrivals:
    """When the alerts of a topic arrived, according to the brokers' time index.

    `timeout` is in seconds.
    """

    def __init__(self, servers: str, topic: str, timeout: float = 8) -> None:
        self._servers = servers
        self._topic = topic
        self._timeout = timeout
        self._admin = _admin(servers, timeout)
        self._ends: Mapping[int, int] = {}
        self._asked: dict[int, Mapping[int, int]] = {}

    def span(self) -> Mapping[int, tuple[int, int]]:
        """Return the first and the next offset by partition; empty: the topic does not exist.

        Raises:
            Unavailable: no broker answers.
        """
        found = topic_offsets(self._servers, self._topic, timeout=self._timeout)
        self._ends = found.ends
        return {number: (found.starts[number], end) for number, end in found.ends.items()}

    def before(self, moment: datetime) -> Mapping[int, int]:
        """Return the offset of the first alert that came at `moment` or later, by partition.

        One question to the brokers a moment; the answer is kept. The topic's end, as `span` saw
        it, where none came later.

        Raises:
            Unavailable: no broker answers.
        """
        stamp = int(moment.timestamp() * 1000)
        if stamp not in self._asked:
            where = [TopicPartition(self._topic, number) for number in self._ends]
            spec = OffsetSpec.for_timestamp(stamp)
            try:
                found = _offsets(self._admin, where, spec, self._timeout)
            except KafkaException as error:
                raise _unavailable(self._servers, error) from error
            ends = self._ends
            # Alerts that come meanwhile are none of what `span` saw.
            self._asked[stamp] = {
                number: ends[number] if offset < 0 else min(offset, ends[number])
                for number, offset in found.items()
            }
        return self._asked[stamp]


def _offsets(admin: Any, where: list[Any], spec: Any, timeout: float) -> Mapping[int, int]:
    asked = admin.list_offsets(dict.fromkeys(where, spec), request_timeout=timeout)
    return {partition.partition: int(said.result().offset) for partition, said in asked.items()}


def _admin(servers: str, timeout: float) -> Any:
    return AdminClient({
        "bootstrap.servers": servers,
        "socket.timeout.ms": int(timeout * 1000),
        "log_level": 0,  # the error that is raised says it once
    })  # fmt: skip


def _metadata(admin: Any, servers: str, timeout: float) -> Any:
    try:
        return admin.list_topics(timeout=timeout)
    except KafkaException as error:
        raise _unavailable(servers, error) from error


def _unavailable(servers: str, error: KafkaException) -> Unavailable:
    return Unavailable(
        f"Kafka at {servers} does not answer: {error.args[0].str()}; check FINK_KAFKA_SERVERS"
    )

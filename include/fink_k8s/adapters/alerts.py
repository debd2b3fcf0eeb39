"""Kafka, as preflight sees it: is the broker there, and the topic."""

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fink_k8s.core.errors import InvalidRequest, Unavailable


def check_topic(servers: str, topic: str, timeout: float = 8) -> int:
    """Return the number of partitions of `topic`. `timeout` is in seconds.

    Raises:
        Unavailable: no broker answers.
        InvalidRequest: there is no such topic.
    """
    topics = _metadata(servers, timeout).topics
    if topic not in topics:
        raise InvalidRequest(
            f"topic {topic} is not on {servers}; check the night, or make the topic"
        )
    return len(topics[topic].partitions)


def check_brokers(servers: str, timeout: float = 8) -> int:
    """Return the number of brokers of the cluster behind `servers`. `timeout` is in seconds.

    Raises:
        Unavailable: none answers.
    """
    return len(_metadata(servers, timeout).brokers)


def _metadata(servers: str, timeout: float) -> Any:
    admin = AdminClient({
        "bootstrap.servers": servers,
        "socket.timeout.ms": int(timeout * 1000),
        "log_level": 0,  # the error that is raised says it once
    })  # fmt: skip
    try:
        return admin.list_topics(timeout=timeout)
    except KafkaException as error:
        raise Unavailable(
            f"Kafka at {servers} does not answer: {error.args[0].str()}; check FINK_KAFKA_SERVERS"
        ) from error

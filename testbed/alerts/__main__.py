"""Send ZTF-like alerts to Kafka: `python -m testbed.alerts --topic ztf_public_20260101`.

The last line is JSON: what was produced, in all, a partition, and a kind of corruption.
"""

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from testbed import pins
from testbed.alerts.packets import CORRUPTIONS, alerts, corrupted


def main() -> int:
    """Send the alerts and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m testbed.alerts", description=__doc__)
    add = parser.add_argument
    add("--servers", default=f"{pins.KAFKA_ADDRESS}:{pins.KAFKA_PORT}", help="brokers")
    add("--topic", required=True, help="created if it does not exist")
    add("--count", type=int, default=1000, help="alerts to send, including corrupt ones")
    add("--rate", type=float, default=0, help="alerts per second; 0 for as fast as possible")
    add(
        "--visit",
        type=int,
        default=1,
        help="alerts sent in one burst, as from one visit of a telescope",
    )
    add("--seed", type=int, default=1, help="the same seed gives the same bytes")
    add("--partitions", type=int, default=4, help="number of partitions if the topic is created")
    add(
        "--corrupt",
        type=int,
        default=0,
        help="number of damaged alerts among them; the kinds alternate",
    )
    given = parser.parse_args()
    if (
        given.count < 1
        or given.rate < 0
        or not 0 <= given.corrupt <= given.count
        or given.visit < 1
    ):
        parser.error(
            "--count and --visit must be at least 1, --rate at least 0, --corrupt 0 to --count"
        )
    make_topic(given.servers, given.topic, given.partitions)
    produced = send(given)
    print(json.dumps(produced), flush=True)
    return 0 if produced["failed"] == 0 else 1


def make_topic(servers: str, topic: str, partitions: int) -> None:
    """Make a topic unless it is there."""
    admin = AdminClient({"bootstrap.servers": servers})
    if topic in admin.list_topics(timeout=20).topics:
        return
    made = admin.create_topics([NewTopic(topic, partitions, 1)])
    try:
        made[topic].result()
    except KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise


def make_producer(servers: str) -> Producer:
    """Return a producer for large messages that delivers each of them once."""
    return Producer({
        "bootstrap.servers": servers,
        "enable.idempotence": True,
        "linger.ms": 20,
        "batch.size": 4_000_000,
        "message.max.bytes": 4_000_000,
        "queue.buffering.max.kbytes": 262_144,
    })  # fmt: skip


def put(producer: Producer, topic: str, value: bytes | None, delivered: Any = None) -> None:
    """Send a message; wait while too many are on their way."""
    while True:
        try:
            producer.produce(topic, value, on_delivery=delivered)
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)


def send(given: argparse.Namespace) -> dict[str, Any]:
    """Send all alerts at the given rate; return the counts."""
    producer = make_producer(given.servers)
    partitions: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    failed = 0

    def delivered(error: object, message: Any) -> None:
        nonlocal failed
        if error:
            failed += 1
        else:
            partitions[message.partition()] += 1

    every = given.count // given.corrupt if given.corrupt else 0
    begun = shown = time.monotonic()
    for number, alert in enumerate(alerts(given.seed, given.count)):
        value: bytes | None = alert
        if every and number % every == 0 and kinds.total() < given.corrupt:
            kind = CORRUPTIONS[kinds.total() % len(CORRUPTIONS)]
            kinds[kind] += 1
            value = corrupted(alert, kind)
        if given.rate and number % given.visit == 0:
            time.sleep(max(0.0, begun + number / given.rate - time.monotonic()))
        put(producer, given.topic, value, delivered)
        if time.monotonic() - shown > 5:
            shown = time.monotonic()
            print(f"{number + 1} of {given.count} alerts", file=sys.stderr, flush=True)
    producer.flush(60)
    seconds = time.monotonic() - begun
    return {
        "topic": given.topic,
        "produced": partitions.total(),
        "failed": failed,
        "corrupt": dict(kinds),
        "partitions": {str(number): partitions[number] for number in sorted(partitions)},
        "seconds": round(seconds, 2),
        "alerts_per_second": round(partitions.total() / seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())

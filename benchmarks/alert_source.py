"""Measure how fast alerts reach Kafka: our templates, encoded once, and fastavro for each alert.

Run it with `make bench-alerts`. The last line is JSON: alerts per second of both (medians of three
runs) and their ratio.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import fastavro

from testbed import pins
from testbed.alerts.__main__ import make_producer, make_topic, put
from testbed.alerts.packets import alerts

SERVERS = f"{pins.KAFKA_ADDRESS}:{pins.KAFKA_PORT}"
OURS, PEERS, RUNS = 6000, 600, 3


def encoded_each(count: int) -> Iterator[bytes]:
    """Yield alerts of the same content, each encoded by fastavro."""
    reader = fastavro.reader(io.BytesIO(next(alerts(seed=1, count=1))))
    record: Any = next(reader)
    schema = fastavro.parse_schema(reader.writer_schema)
    for number in range(count):
        record["candid"] = number
        out = io.BytesIO()
        fastavro.writer(out, schema, [record])
        yield out.getvalue()


def rate_of(topic: str, values: Iterable[bytes]) -> float:
    """Return alerts per second, from the first one requested to the last one acknowledged."""
    producer = make_producer(SERVERS)
    begun, count = time.monotonic(), 0
    for value in values:
        put(producer, topic, value)
        count += 1
    producer.flush(60)
    return count / (time.monotonic() - begun)


def main() -> int:
    """Run both in turn and print the figures."""
    topic = f"bench_{time.time():.0f}"
    make_topic(SERVERS, topic, 4)
    ours, peers = [], []
    for run in range(RUNS):
        ours.append(rate_of(topic, alerts(seed=run, count=OURS)))
        peers.append(rate_of(topic, encoded_each(PEERS)))
    a, b = statistics.median(ours), statistics.median(peers)
    figures = {"ours": round(a), "fastavro_each": round(b), "ratio": round(a / b, 1)}
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

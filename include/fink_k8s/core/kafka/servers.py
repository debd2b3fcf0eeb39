"""Lists of Kafka brokers."""

import re
from typing import Annotated

from pydantic import AfterValidator

_SERVER = re.compile(r"(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[0-9]{1,5})")


def kafka_servers_from(text: str) -> str:
    """Check a list of brokers, comma-separated `host:port`, and return it."""
    for server in text.split(","):
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise ValueError(
                "has an entry that is not host:port (no user, no password); "
                "enter e.g. kafka-0:9092,kafka-1:9092"
            )
    return text


KafkaServers = Annotated[str, AfterValidator(kafka_servers_from)]

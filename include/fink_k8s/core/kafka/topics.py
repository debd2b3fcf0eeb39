"""Names of Kafka topics, and the patterns by which a stream subscribes to them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from fink_k8s.core.base.errors import InvalidRequest, shown

# kafka.common: org.apache.kafka.common.internals.Topic (legal characters, length)
_TOPIC = re.compile(r"[a-zA-Z0-9._-]+")
_TOPIC_MAX = 249


def topic_from(text: str) -> str:
    """Check that `text` is one legal Kafka topic, not a pattern over topics, and return it."""
    if not isinstance(text, str) or _TOPIC.fullmatch(text) is None or text in {".", ".."}:
        raise InvalidRequest(
            f"topic {shown(text)} is not a valid Kafka topic name; use only letters, digits, '.', "
            "'_' and '-' (patterns such as .* are not allowed)"
        )
    if len(text) > _TOPIC_MAX:
        raise InvalidRequest(f"topic has {len(text)} characters; use at most {_TOPIC_MAX}")
    return text


TopicName = Annotated[
    str, Field(pattern=r"^[a-zA-Z0-9._-]+$", max_length=_TOPIC_MAX), AfterValidator(topic_from)
]
"""One Kafka topic."""


def topic_pattern(topic: str) -> str:
    """Return the pattern by which the job's `subscribePattern` matches this topic and no other.

    Spark reads each topic if the pattern matches any part of its name, so it is anchored at both
    ends. The dot is the only character of topic names that has a meaning in Java's patterns.
    """
    return f"^{topic_from(topic).replace('.', r'[.]')}$"


def topic_of_pattern(pattern: str) -> str:
    """Return the topic that `topic_pattern` turned into `pattern`, also in its earlier form."""
    return pattern.strip("^$").replace("[.]", ".").replace("\\", "")

"""Send a message to every target through Apprise (Slack, Telegram, e-mail, webhooks, ...).

A target's address holds its password or token, so none of it, and no word of Apprise's own log,
leaves this module: a target is named by its number and scheme.
https://appriseit.com/services/
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.redaction import redact

_SCHEME = re.compile(r"([a-z][a-z0-9]{1,19})://", re.IGNORECASE)
_TAG = "fink-target-"
_ANSWER = re.compile(r"\berror=([45]\d\d)\b")


class Tone(StrEnum):
    """How a message sounds; Apprise's own four."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Message:
    """A message to people: a title, and lines of plain text."""

    title: str
    body: str
    tone: Tone = Tone.INFO


@dataclass(frozen=True)
class Delivery:
    """How many targets took a message, and for each other one a line that says why it did not."""

    taken: int
    failures: tuple[str, ...] = ()


def send(message: Message, targets: Sequence[str], seconds: float = 20) -> Delivery:
    """Send a message to every target; nothing is raised for one that does not take it.

    `seconds` is for all of them together. Secrets are hidden in the message as well.
    """
    taken, failures = 0, []
    opened, refused = _opened(targets)
    if opened:
        result = opened.notify(
            body=redact(message.body),
            title=redact(message.title),
            notify_type=message.tone.value,
            body_format="text",
            timeout=seconds,
        )
        # The results come in any order; the tag says which target each belongs to.
        names = {f"{_TAG}{n}": _name_of(n, target) for n, target in enumerate(targets, start=1)}
        for one in result:
            name = next(names[tag] for tag in one.tag if tag in names)
            if one:
                taken += 1
            else:
                failures.append(f"{name} {_why(one)}")
    return Delivery(taken, (*refused, *sorted(failures)))


def check_targets(targets: Sequence[str]) -> str:
    """Return what the targets are, in words; nothing is sent.

    Raises:
        InvalidRequest: one is not an address that Apprise supports.
    """
    _, refused = _opened(targets)
    if refused:
        raise InvalidRequest("; ".join(refused))
    return ", ".join(_name_of(number, target) for number, target in enumerate(targets, start=1))


def _opened(targets: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """Return Apprise with the targets that it understands, each tagged with its number."""
    from apprise import Apprise

    _hush()
    opened, refused = Apprise(), []
    for number, target in enumerate(targets, start=1):
        if not opened.add(target, tag=f"{_TAG}{number}"):
            name = _name_of(number, target)
            refused.append(
                f"{name} is not an address that Apprise supports; see appriseit.com/services"
            )
    return opened, tuple(refused)


def _hush() -> None:
    """Keep addresses out of the logs of others, for good: a target that is slow speaks later.

    Apprise logs what it does not understand, token and all; its results say enough. Of each request
    urllib3 has a line for debugging with the path, which is where Telegram's token stands.
    """
    theirs = logging.getLogger("apprise")
    theirs.propagate = False
    theirs.handlers = [logging.NullHandler()]
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


def _name_of(number: int, target: str) -> str:
    scheme = _SCHEME.match(target)
    return f"target {number} ({scheme[1].lower() if scheme else 'no scheme'})"


def _why(result: Any) -> str:
    if result.status.name == "TIMEOUT":
        return "did not answer in time"
    for entry in result.logs():
        if answer := _ANSWER.search(str(entry.message)):
            return f"refused the message with {answer[1]}; check its address in fink_notify"
    return "could not be reached, or refused the message; check its address in fink_notify"

"""Messages over a real connection; no part of a target's address in anything that is said."""

import logging
import time

import pytest

from fink_k8s.adapters.base.notify import Message, Tone, check_targets, send
from fink_k8s.core.base.errors import InvalidRequest

CANARY = "c4n4ry0fa70k3n"
MESSAGE = Message("Fink: 1 worse", "worse: s: *dead*; <b> _1_\nbundle: s3a://fink/1", Tone.FAILURE)
BROKEN = [
    f"slack://{CANARY}",
    f"nonsense://{CANARY}/{CANARY}",
    f"{CANARY}",
    f"tgram://{CANARY}",
    f"json://user:{CANARY}@[",
]


def test_a_message_arrives_as_it_was_written(inbox):
    assert send(MESSAGE, [inbox.target()]).taken == 1
    [message] = inbox.messages
    assert (message["title"], message["message"]) == (MESSAGE.title, MESSAGE.body)
    assert message["type"] == "failure"


def test_every_target_gets_it_and_who_does_not_is_named(inbox):
    delivery = send(MESSAGE, [inbox.target(), "json://127.0.0.1:1/away", inbox.target("b")])
    assert (delivery.taken, len(inbox.messages)) == (2, 2)
    [failure] = delivery.failures
    assert failure.startswith("target 2 (json) could not be reached")


def test_one_that_refuses_is_told_with_its_answer(inbox):
    inbox.answer = 403
    delivery = send(MESSAGE, [inbox.target(CANARY)])
    assert (delivery.taken, inbox.messages) == (0, [])
    assert delivery.failures == (
        "target 1 (json) refused the message with 403; check its address in fink_notify",
    )


def test_one_that_does_not_answer_is_not_waited_for(inbox):
    inbox.seconds = 5
    send(MESSAGE, ["json://127.0.0.1:1/"])  # Apprise reads its plugins at the first message
    begun = time.monotonic()
    delivery = send(MESSAGE, [inbox.target()], seconds=1)
    assert time.monotonic() - begun < 4
    assert delivery.failures == ("target 1 (json) did not answer in time",)


@pytest.mark.parametrize("target", BROKEN)
def test_no_word_of_an_address_is_said(inbox, target, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    inbox.answer = 500
    targets = [target, inbox.target(CANARY), f"json://u:{CANARY}@127.0.0.1:1/{CANARY}"]
    delivery = send(MESSAGE, targets)
    assert len(delivery.failures) == 3
    with pytest.raises(InvalidRequest, match="is not an address that Apprise supports") as caught:
        check_targets([target])
    said = [*delivery.failures, caplog.text, str(caught.value), *capfd.readouterr()]
    assert CANARY not in "".join(said)


def test_a_secret_in_the_message_is_hidden(inbox):
    send(Message("t", f"s3a refused: secret.key={CANARY}"), [inbox.target()])
    assert inbox.bodies() == ["s3a refused: secret.key=***"]


def test_targets_are_checked_without_a_message(inbox):
    assert check_targets([inbox.target(), "mailto://u:p@x.org"]) == (
        "target 1 (json), target 2 (mailto)"
    )
    assert inbox.messages == []
    assert send(MESSAGE, []).taken == 0

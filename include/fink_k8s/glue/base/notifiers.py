"""Report what happens: always in the log, and to the targets of `fink_notify`."""

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseNotifier

from fink_k8s.adapters.base.notify import Delivery, Message, Tone, send
from fink_k8s.glue.base.connections import NOTIFY_CONNECTION, notify_targets

log = logging.getLogger(__name__)
_LEVELS = {Tone.WARNING: logging.WARNING, Tone.FAILURE: logging.ERROR}


def notify(message: Message) -> bool:
    """Send a message; return whether it needs no second try.

    It has been told once one target has it, or where there is none but the log: who repeats it for
    the sake of one target that is broken disturbs all others. Whatever goes wrong is an error line
    in the log, and never raised.
    """
    log.log(_LEVELS.get(message.tone, logging.INFO), "%s\n%s", message.title, message.body)
    try:
        targets = notify_targets()
        if not targets:
            log.info("no target: create the connection %s to receive messages", NOTIFY_CONNECTION)
            return True
        delivery = send(message, targets)
    except Exception as error:
        # The kind alone: the text of a stranger's error may hold an address.
        log.error("the message is not delivered: %s", type(error).__name__)
        return False
    _say(delivery, targets)
    return delivery.taken > 0


def _say(delivery: Delivery, targets: Sequence[str]) -> None:
    for failure in delivery.failures:
        log.error("not delivered: %s", failure)
    log.info("delivered to %d of %d targets", delivery.taken, len(targets))


class FinkNotifier(BaseNotifier):
    """Report that something happened to a run, e.g. `on_failure_callback=FinkNotifier()`.

    `text` is a template; the default names the DAG, the run and, of a task's callback, the task.
    """

    template_fields = ("text",)

    def __init__(
        self,
        text: str = "{{ dag.dag_id }}, {{ run_id }}{% if ti is defined %}: {{ ti.task_id }}"
        "{% endif %} failed",
        tone: Tone = Tone.FAILURE,
    ) -> None:
        super().__init__()
        self.text = text
        self.tone = tone

    def notify(self, context: Any) -> None:
        """Send the text; what cannot be delivered is in the log, and fails nothing."""
        notify(Message(f"Fink: {context['dag'].dag_id}", self.text, self.tone))

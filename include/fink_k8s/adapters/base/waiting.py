"""Wait for what comes about by itself in a moment."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

_Answer = TypeVar("_Answer")


def ask_until_true(ask: Callable[[], _Answer], seconds: float, pause: float = 0.5) -> _Answer:
    """Ask until the answer is true, for `seconds` at most, and return the last answer.

    It asks at least once, and waits `pause` seconds in between. An error of `ask` is raised.
    """
    retrying = Retrying(
        retry=retry_if_not_result(bool),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(pause),
        retry_error_callback=_last_answer,
    )
    return retrying(ask)


def _last_answer(state: RetryCallState) -> object:
    return state.outcome.result() if state.outcome else None

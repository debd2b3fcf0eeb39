"""What persists between runs of `fink_health`: the board, and which streams were asked to end.

It is stored in the state of an asset (AIP-103), which belongs to no run: XComs are cleared with
their task, and those of scheduled and manual runs have no common order.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Asset, get_current_context
from airflow.sdk.execution_time.context import AssetStateStoreAccessor
from pydantic import ValidationError

from fink_k8s.core.health.health_board import Board

log = logging.getLogger(__name__)
HEALTH = Asset("fink_health")
"""An inlet of every task that reads or writes the notes; other tasks get no access."""
_UNNOTED = "could not record the stop, so fink_health will report a vanished stream: %s"
_ASKED_FOR = timedelta(hours=2)
"""How long a stop request explains a missing stream; a stop takes half an hour at most."""


class HealthNotes:
    """The notes of one namespace; outside a task, pass the asset's own `state`."""

    def __init__(self, namespace: str, state: Any = None) -> None:
        there = get_current_context()["asset_state_store"][HEALTH] if state is None else state
        self._state: Any = there
        self._namespace = namespace

    def board(self) -> Board:
        """Return the board of the last look, or an empty one."""
        kept = self._state.get(f"board/{self._namespace}")
        try:
            return Board.model_validate(kept or {})
        except ValidationError:
            log.warning("the health board is from another version; starting with an empty one")
            return Board()

    def keep(self, board: Board) -> None:
        """Keep the board for the next look."""
        self._state.set(f"board/{self._namespace}", board.model_dump(mode="json"))

    def note_stop(self, streams: Iterable[str], now: datetime) -> None:
        """Record that streams are being stopped, so that their end raises no alarm."""
        for stream in streams:
            self._state.set(self._stop_of(stream), now.isoformat())

    def stopped(self, streams: Iterable[str], now: datetime) -> set[str]:
        """Return those of `streams` that were asked to end not long ago."""
        asked = {stream: self.asked(stream) for stream in streams}
        return {stream for stream, at in asked.items() if at and now - at < _ASKED_FOR}

    def asked(self, stream: str) -> datetime | None:
        """Return when a stream was last asked to end, or None."""
        at = self._state.get(self._stop_of(stream))
        return datetime.fromisoformat(at) if at else None

    def _stop_of(self, stream: str) -> str:
        return f"stop/{self._namespace}/{stream}"


def note_stop(namespace: str, streams: Iterable[str], now: datetime) -> None:
    """Record that streams are being stopped; a failure to record it must not prevent the stop."""
    try:
        HealthNotes(namespace).note_stop(streams, now)
    except Exception as error:
        log.warning(_UNNOTED, error)


def note_stop_by_trigger(namespace: str, stream: str, now: datetime) -> None:
    """Do the same as `note_stop` from a trigger's thread, which has no task context."""
    try:
        state = AssetStateStoreAccessor(name=HEALTH.name)
        HealthNotes(namespace, state).note_stop([stream], now)
    except Exception as error:
        log.warning(_UNNOTED, error)

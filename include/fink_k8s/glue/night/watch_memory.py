"""What the task that watches a night stores across its tries, in its state (AIP-103)."""

from datetime import datetime
from typing import Any

from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.night.night_moves import PendingStart, WatchRecord

# It survives a worker that dies when the dead stream and its history are deleted, but the new
# stream is not created yet.
_PENDING = "to_be_started"
_BEGUN = "begun"


class WatchMemory:
    """The state of the task to which Airflow gave `context`."""

    def __init__(self, context: Any) -> None:
        self._state = context["task_state_store"]

    def begin(self, moment: datetime) -> None:
        """Store since when this task owns the stream."""
        self._state.set(_BEGUN, moment.isoformat())

    @property
    def has_begun(self) -> bool:
        """Tell whether it is stored since when this task owns the stream."""
        return bool(self._state.get(_BEGUN))

    def keep_pending(self, manifest: Manifest, since: datetime) -> None:
        """Store the manifest to start; see `PendingStart`."""
        pending = PendingStart(manifest=manifest, since=since)
        self._state.set(_PENDING, pending.model_dump(mode="json"))

    def forget_pending(self) -> None:
        """Delete it: the stream has been started, or will not be."""
        self._state.delete(_PENDING)

    def forget(self) -> None:
        """Delete all: the task ends, and clearing it later means to start the stream again."""
        self._state.delete(_PENDING)
        self._state.delete(_BEGUN)

    def record(self, asked_to_end: datetime | None) -> WatchRecord:
        """Return all of it, with the time of the last stop request."""
        pending, begun = self._state.get(_PENDING), self._state.get(_BEGUN)
        return WatchRecord(
            PendingStart.model_validate(pending) if pending else None,
            datetime.fromisoformat(begun) if begun else None,
            asked_to_end,
        )

"""What the task that watches a night remembers over all of its tries, in its state (AIP-103)."""

from datetime import datetime
from typing import Any

from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.night.night_moves import PendingStart, WatchRecord

# It outlives a worker that dies when the dead stream, which bore its history, is gone and the new
# one is not there yet.
_PENDING = "to_be_started"
_BEGUN = "begun"


class WatchMemory:
    """The state of the task to which Airflow gave `context`."""

    def __init__(self, context: Any) -> None:
        self._state = context["task_state_store"]

    def begin(self, moment: datetime) -> None:
        """Keep since when the stream is this task's."""
        self._state.set(_BEGUN, moment.isoformat())

    @property
    def has_begun(self) -> bool:
        """Tell whether it is known since when the stream is this task's."""
        return bool(self._state.get(_BEGUN))

    def keep_pending(self, manifest: Manifest) -> None:
        """Keep what is to be started from now on."""
        pending = PendingStart(manifest=manifest, since=utc_now())
        self._state.set(_PENDING, pending.model_dump(mode="json"))

    def forget_pending(self) -> None:
        """Forget it: it has been started, or is not to be."""
        self._state.delete(_PENDING)

    def forget(self) -> None:
        """Forget all of it: the task ends, and whoever clears it wants the stream."""
        self._state.delete(_PENDING)
        self._state.delete(_BEGUN)

    def record(self, asked_to_end: datetime | None) -> WatchRecord:
        """Return all of it, with when somebody last asked the stream to end."""
        pending, begun = self._state.get(_PENDING), self._state.get(_BEGUN)
        return WatchRecord(
            PendingStart.model_validate(pending) if pending else None,
            datetime.fromisoformat(begun) if begun else None,
            asked_to_end,
        )

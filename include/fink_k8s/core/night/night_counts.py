"""What a night's stream has committed, as counts."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class NightCounts:
    """What one night's stream has committed: batches, messages read, rows stored and set aside."""

    batches: int
    read: int
    stored: int
    set_aside: int

    @property
    def is_complete(self) -> bool:
        """Tell whether each message that was read is stored or set aside."""
        return self.read == self.stored + self.set_aside

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, for XCom."""
        return asdict(self)


def counts_said(log: str) -> NightCounts:
    """Return the counts that a driver logged: the sum over the batch lines of its log.

    These are the driver's own numbers: no rows are counted, and a restarted driver logs its own
    batches only. A batch logged without counts counts as a batch without messages.
    """
    batches = {line["batch"]: line for line in _batches(log)}
    read = sum(line.get("messages", 0) for line in batches.values())
    bad = sum(line.get("bad", 0) for line in batches.values())
    return NightCounts(max(batches, default=-1) + 1, read, read - bad, bad)


def _batches(log: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        if '"stream2raw"' not in line:
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue  # a log's first line may be cut
        is_batch = isinstance(said, dict) and said.get("stream2raw") == "batch"
        if is_batch and isinstance(said.get("batch"), int):
            yield said

"""Read a checkpoint and its output: batches, offsets, and whether the two are one pair.

Layout: Spark's Structured Streaming, `offsets/N`, `commits/N`, `sources/0/0` in the checkpoint and
`_spark_metadata/N[.compact]` in the output.
"""

import json
from typing import Any, Dict, List

Offsets = Dict[str, Dict[str, int]]
"""Topic -> partition -> offset."""


class BrokenPair(RuntimeError):
    """Output and checkpoint do not belong together: continuing would silently lose alerts."""


def check_pair(files: Any, output: str, checkpoint: str) -> None:
    """Refuse to write if output and checkpoint are not one pair.

    A new checkpoint with an old output silently drops batches; an old checkpoint with a new output
    starts late.

    Raises:
        BrokenPair: one exists without the other, or they disagree; the message has the remedy.
    """
    written = batches(files, output + "/_spark_metadata")
    planned = batches(files, checkpoint + "/offsets")
    committed = batches(files, checkpoint + "/commits")
    if written and not planned:
        raise BrokenPair(
            f"{output} holds batches up to {written[-1]}, but checkpoint {checkpoint} is empty; "
            "bring the checkpoint back, or write this night to a new prefix"
        )
    if committed and not written:
        raise BrokenPair(
            f"checkpoint {checkpoint} has committed batch {committed[-1]}, but {output} has no "
            "_spark_metadata; bring the output back, or read the night again to a new prefix"
        )
    last = committed[-1] if committed else -1
    # Spark continues from the last plan, and the sink skips what it has already written.
    plans_trail = not planned or planned[-1] in (last, last + 1)
    output_fits = not written or (written[-1] in planned and written[-1] >= last)
    if not (plans_trail and output_fits):
        raise BrokenPair(
            f"{output} holds batches up to {_last_of(written)}, but checkpoint {checkpoint} has "
            f"planned up to {_last_of(planned)} and committed up to {_last_of(committed)}; they "
            "are not one pair: bring back the two of one time, or read the night again to a new "
            "prefix"
        )


def batches(files: Any, folder: str) -> List[int]:
    """Return the batch numbers of a log folder, in order."""
    found = {name.partition(".")[0] for name in files.names(folder)}
    return sorted(int(name) for name in found if name.isdigit())


def start_of(files: Any, checkpoint: str, batch: int) -> Offsets:
    """Return the first offsets of a batch: the end of the one before, or the night's first."""
    if batch > 0:
        return end_of(files, checkpoint, batch - 1)
    return offsets_from(files.read(checkpoint + "/sources/0/0") or "{}")


def end_of(files: Any, checkpoint: str, batch: int) -> Offsets:
    """Return the end offsets (exclusive) of a batch.

    Raises:
        FileNotFoundError: the checkpoint no longer holds the batch.
    """
    text = files.read(f"{checkpoint}/offsets/{batch}")
    if text is None:
        raise FileNotFoundError(f"{checkpoint}/offsets/{batch}")
    return offsets_from(text)


def offsets_from(text: str) -> Offsets:
    """Return the offsets of a log file: its last line with a JSON object of objects."""
    for line in reversed(text.splitlines()):
        if "{" in line:
            # The initial offsets begin with a zero byte, for compatibility with Spark of 2016.
            loaded = json.loads(line[line.index("{") :])
            return {
                topic: {str(p): int(o) for p, o in parts.items()} for topic, parts in loaded.items()
            }
    return {}


def _last_of(numbers: List[int]) -> str:
    return str(numbers[-1]) if numbers else "none"

"""Set undecodable messages aside, and keep the file sink's exactly-once manifest.

A query has one sink, and it stores good rows only. A batch with bad messages is read once more, by
exactly its own offsets, and the bad messages are written to a separate folder for the batch:
repeating this gives the same files. After a restart, the marker `quarantine_checked` shows which
committed batches may have messages in neither place.
"""

import json
from typing import Any, Optional

from stream2raw import checkpoint as log
from stream2raw.arguments import Arguments
from stream2raw.decode import LARGEST_FETCH, decoded, set_aside
from stream2raw.surveys import SurveyReader


class Quarantine:
    """Stores the bad messages of one night."""

    def __init__(
        self, spark: Any, files: Any, arguments: Arguments, schema: str, reader: SurveyReader
    ) -> None:
        self._spark = spark
        self._files = files
        self._arguments = arguments
        self._schema = schema
        self._reader = reader
        # Next to the commits it refers to, so that it is deleted with them.
        self._marker = arguments.checkpoint + "/quarantine_checked"
        self._commits = arguments.checkpoint + "/commits"
        self._plans = arguments.checkpoint + "/offsets"
        committed = log.batches(files, self._commits)
        # A marker may outlive its checkpoint; no batch is checked before it is committed.
        self.checked = min(int(files.read(self._marker) or -1), max(committed, default=-1))

    def catch_up(self) -> None:
        """Check the batches that an earlier process committed, but died before checking."""
        planned = set(log.batches(self._files, self._plans))
        for batch in log.batches(self._files, self._commits):
            # Spark keeps the last hundred plans; the offsets of older batches are unknown.
            if batch == 0 or batch - 1 in planned:
                self.check(batch, bad=None)

    def check(self, batch: int, bad: Optional[int]) -> None:
        """Store the bad messages of a committed batch; `bad` is None if they were not counted."""
        if batch <= self.checked:
            return
        if bad is None or bad > 0:
            self._write(batch)
        if bad is None or bad > 0 or batch % 10 == 0:
            # Checking a clean batch again is harmless, so do not write the marker for each one.
            self._files.write(self._marker, str(batch))
        self.checked = batch

    def close(self) -> None:
        """Record how far the checks have progressed."""
        if self.checked >= 0:
            self._files.write(self._marker, str(self.checked))

    def _write(self, batch: int) -> None:
        end = log.end_of(self._files, self._arguments.checkpoint, batch)
        start = log.start_of(self._files, self._arguments.checkpoint, batch)
        # A partition that was added in the batch starts at its first offset.
        start = {t: {p: start.get(t, {}).get(p, 0) for p in parts} for t, parts in end.items()}
        if start == end:
            return
        messages = (
            self._spark.read.format("kafka")
            .option("kafka.bootstrap.servers", self._arguments.servers)
            .option("assign", json.dumps({t: [int(p) for p in parts] for t, parts in end.items()}))
            .option("startingOffsets", json.dumps(start))
            .option("endingOffsets", json.dumps(end))
            .option("kafka.max.partition.fetch.bytes", LARGEST_FETCH)
            .load()
        )
        rows = set_aside(decoded(messages, self._schema, self._reader), self._reader)
        rows.write.mode("overwrite").parquet(f"{self._arguments.quarantine}/batch={batch}")

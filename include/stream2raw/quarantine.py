"""Set aside what cannot be decoded, without giving up the file sink's exactly-once manifest.

One query has one sink, and it takes good rows only. A batch that counted bad messages is read
once more, by exactly its own offsets, and its bad messages are written to a folder of the batch's
own: doing that twice gives the same files. The marker `quarantine_checked` tells a restart where
committed batches may have messages in neither place.
"""

import json
from typing import Any, Optional

from stream2raw import checkpoint as log
from stream2raw.arguments import Arguments
from stream2raw.decode import LARGEST_FETCH, decoded, set_aside
from stream2raw.surveys import SurveyReader


class Quarantine:
    """Keeps the bad messages of one night."""

    def __init__(
        self, spark: Any, files: Any, arguments: Arguments, schema: str, reader: SurveyReader
    ) -> None:
        self._spark = spark
        self._files = files
        self._arguments = arguments
        self._schema = schema
        self._reader = reader
        # Beside the commits it speaks of: it goes when they go.
        self._marker = arguments.checkpoint + "/quarantine_checked"
        self._commits = arguments.checkpoint + "/commits"
        self._plans = arguments.checkpoint + "/offsets"
        committed = log.batches(files, self._commits)
        # A marker may outlive its checkpoint; no batch is checked before it is committed.
        self.checked = min(int(files.read(self._marker) or -1), max(committed, default=-1))

    def mend(self) -> None:
        """Check the batches that an earlier process committed, but died before checking."""
        planned = set(log.batches(self._files, self._plans))
        for batch in log.batches(self._files, self._commits):
            # Spark keeps the last hundred plans; of older batches nobody knows the offsets.
            if batch == 0 or batch - 1 in planned:
                self.check(batch, bad=None)

    def check(self, batch: int, bad: Optional[int]) -> None:
        """Keep the bad messages of a committed batch; `bad` None means that nobody counted."""
        if batch <= self.checked:
            return
        if bad is None or bad > 0:
            self._write(batch)
        if bad is None or bad > 0 or batch % 10 == 0:
            # A clean batch may be checked again at no harm: the marker is not worth a write each.
            self._files.write(self._marker, str(batch))
        self.checked = batch

    def close(self) -> None:
        """Write down how far the checks have come."""
        if self.checked >= 0:
            self._files.write(self._marker, str(self.checked))

    def _write(self, batch: int) -> None:
        end = log.end_of(self._files, self._arguments.checkpoint, batch)
        start = log.start_of(self._files, self._arguments.checkpoint, batch)
        # A partition that was added in the batch begins at its first offset.
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

"""The raw store, read as the proof needs it: commits, manifest, rows by footers, quarantine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pyarrow import fs

from fink_k8s.adapters.store.file_systems import file_system_of
from fink_k8s.adapters.store.footers import Footer, footers_of
from fink_k8s.adapters.store.store_files import StoreFiles
from fink_k8s.core.base.errors import Unavailable
from fink_k8s.core.base.progress import Say
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.diagnosis.positions import Position
from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.store.night_paths import checkpoint_path, quarantine_path, raw_path
from fink_k8s.core.store.store_kind import StoreKind

PACE_TIME = timedelta(minutes=5)
"""Over how long a stream's pace is taken: a few batches say little."""


def open_store(settings: Settings, *, access_key: str = "", secret_key: str = "") -> "Store":
    """Return the store that is configured, as this process can reach it.

    The keys are for a store that has some.

    Raises:
        OutOfSight: this process has no way to it; the stream may have.
    """
    place = settings.store
    return Store(place, file_system_of(place, access_key, secret_key))


TopicOffsets = dict[tuple[str, str], int]
"""Offsets by (topic, partition)."""
Spans = Mapping[tuple[str, str], tuple[int, int]]
"""By (topic, partition): [start, end)."""


def _nothing(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Written:
    """A file of a night's committed batches, when it was written, and its rows (0: `broken`)."""

    path: str
    at: datetime
    rows: int
    broken: str = ""
    is_set_aside: bool = False


class Store(StoreFiles):
    """The nights of a store, as their checkpoints and the sink's manifests tell of them."""

    def __init__(self, place: StoreKind, files: fs.FileSystem) -> None:
        super().__init__(place.url, files, place.root, has_owners=place.has_owners)
        self._place = place

    def check(self) -> None:
        """Check that the store can be read.

        Raises:
            Unavailable: it cannot; the message names the store and the remedy.
        """
        place = self._place
        where = f"store {place.url}" + (f" at {place.server}" if place.server else "")
        try:
            info = self._files.get_file_info(place.top)
        except OSError as error:
            reason = str(error)[:200]
            raise Unavailable(f"{where} cannot be read: {reason}; {place.remedy}") from error
        if info.type == fs.FileType.NotFound:
            raise Unavailable(f"{where} does not have {place.missing_top}")

    def committed(self, night: str) -> list[int]:
        """Return the numbers of the batches that are committed, in order."""
        return self._numbers(checkpoint_path(self._prefix, night) + "/commits")

    def planned(self, night: str) -> list[int]:
        """Return the numbers of the batches that were begun and are still on record, in order."""
        return self._numbers(checkpoint_path(self._prefix, night) + "/offsets")

    def topics(self, night: str) -> set[str]:
        """Return the topics that the night's checkpoint reads; none before its first batch."""
        planned = self.planned(night)
        if not planned:
            return set()
        offsets = self._offsets(f"{checkpoint_path(self._prefix, night)}/offsets/{planned[-1]}")
        return {topic for topic, _ in offsets}

    def files(self, night: str) -> list[str]:
        """Return the files of committed batches that the sink's manifest lists, as `root` has them.

        Files that no manifest lists hold rows of batches that were never committed.
        """
        batches = self.committed(night)
        return [self._path(path) for path in self._manifest(night, batches[-1])] if batches else []

    def counts(self, night: str) -> NightCounts:
        """Count what is committed; batches in hand do not count.

        Rows come from the footers of exactly the files that the sink's manifest lists; files that
        no manifest lists are not counted.
        """
        batches = self.committed(night)
        if not batches:
            return NightCounts(0, 0, 0, 0)
        last = batches[-1]
        read = alerts_in(self.spans(night, last))
        stored = self._rows(self._manifest(night, last))
        return NightCounts(last + 1, read, stored, self._set_aside(night, last))

    def spans(self, night: str, last: int) -> Spans:
        """Return what batches up to `last` have read: by (topic, partition) [start, end)."""
        checkpoint = checkpoint_path(self._prefix, night)
        start = self._offsets(f"{checkpoint}/sources/0/0")
        return _between(start, self._offsets(f"{checkpoint}/offsets/{last}"))

    def written(self, night: str, last: int, say: Say = _nothing) -> list[Written]:
        """Return the files of the batches up to `last`: those of the manifest, those set aside.

        Each footer is read once, several at the same time; `say` gets the progress. A file that is
        gone or is not Parquet is returned as `broken`.

        Raises:
            Unavailable: the store does not answer.
        """
        found = {
            self._path(entry["path"]): Written(
                entry["path"], datetime.fromtimestamp(entry["modificationTime"] / 1000, UTC), 0
            )
            for entry in self._entries(night, last)
        } | {
            info.path: Written(info.path, info.mtime.astimezone(UTC), 0, is_set_aside=True)
            for info in self._set_aside_files(night, last)
        }
        return [
            replace(found[footer.path], rows=footer.rows, broken=footer.broken)
            for footer in footers_of(self._files, list(found), say)
        ]

    def position(self, night: str, topic: str) -> Position:
        """Return how far the night's checkpoint has come, whatever state it is in.

        What is written later is read later, so that a batch that ends in between does no
        harm.
        """
        checkpoint = checkpoint_path(self._prefix, night)
        ended = self._ended(checkpoint + "/commits")
        written = self._batches(raw_path(self._prefix, night) + "/_spark_metadata")
        planned = self._batches(checkpoint + "/offsets")
        last = max(ended, default=-1)
        position = Position(max(planned, default=-1), last, written=max(written, default=-1))
        if last not in planned:
            return position
        start = self._offsets(f"{checkpoint}/sources/0/0")
        spans = _between(start, self._offsets(f"{checkpoint}/offsets/{last}"))
        earlier = _batch_before(last, {n: at for n, at in ended.items() if n in planned})
        return replace(
            position,
            committed_at=ended[last],
            **self._read_until(checkpoint, earlier, start, ended),
            next={int(number): end for (name, number), (_, end) in spans.items() if name == topic},
            read=alerts_in(spans),
            set_aside=self._set_aside(night, last),
        )

    def _manifest(self, night: str, last: int) -> list[str]:
        return [entry["path"] for entry in self._entries(night, last)]

    def _entries(self, night: str, last: int) -> list[dict[str, Any]]:
        """Return the manifest's files of the batches up to `last`, as Spark describes them."""
        folder = raw_path(self._prefix, night) + "/_spark_metadata"
        compacts = self._numbers(folder, ".compact")
        latest = max((number for number in compacts if number <= last), default=-1)
        logs = [f"{latest}.compact"] if latest >= 0 else []
        logs += [str(n) for n in self._numbers(folder, "") if latest < n <= last]
        entries = [
            json.loads(line)
            for name in logs
            for line in self._read(f"{folder}/{name}").splitlines()[1:]
        ]
        return [entry for entry in entries if entry["action"] == "add"]

    def _set_aside(self, night: str, last: int) -> int:
        return self._rows([info.path for info in self._set_aside_files(night, last)])

    def _set_aside_files(self, night: str, last: int) -> list[fs.FileInfo]:
        """Return the files set aside; a batch whose folder is still being written has none."""
        found = self._list(quarantine_path(self._prefix, night), deep=True)
        done = {info.path.rpartition("/")[0] for info in found if info.base_name == "_SUCCESS"}
        return [
            info
            for info in found
            if info.path.endswith(".parquet")
            and (folder := info.path.rpartition("/")[0]) in done
            and int(folder.rpartition("/batch=")[2]) <= last
        ]

    def _rows(self, paths: list[str]) -> int:
        footers = footers_of(self._files, [self._path(path) for path in paths])
        for footer in footers:
            _check(footer)
        return sum(footer.rows for footer in footers)

    def _offsets(self, path: str) -> TopicOffsets:
        text = self._read(path)
        loaded = json.loads(text[text.rindex("\n{") if "\n{" in text else text.index("{") :])
        return {(topic, p): int(o) for topic, parts in loaded.items() for p, o in parts.items()}

    def _batches(self, folder: str) -> list[int]:
        """Return the batches of a log folder, those that a compact file holds by its number."""
        return sorted({*self._numbers(folder), *self._numbers(folder, ".compact")})

    def _ended(self, folder: str) -> dict[int, datetime]:
        """Return when each batch ended, by the ages of the files in `commits`."""
        return {
            int(info.base_name): info.mtime.astimezone(UTC)
            for info in self._list(folder)
            if info.base_name.isdigit()
        }

    def _read_until(
        self, checkpoint: str, batch: int, start: TopicOffsets, ended: Mapping[int, datetime]
    ) -> dict[str, Any]:
        """Return the fields of a position that tell of an earlier batch, where there is one."""
        if batch not in ended:
            return {}
        try:
            end = self._offsets(f"{checkpoint}/offsets/{batch}")
        except Unavailable:  # Spark has cleared it away meanwhile
            return {}
        return {"earlier_at": ended[batch], "earlier_read": alerts_in(_between(start, end))}

    def _numbers(self, folder: str, suffix: str = "") -> list[int]:
        names = [info.base_name.removesuffix(suffix) for info in self._list(folder)
                 if info.base_name.endswith(suffix)]  # fmt: skip
        return sorted(int(name) for name in names if name.isdigit())


def _check(footer: Footer) -> None:
    if footer.broken:
        raise Unavailable(f"{footer.path} cannot be read: {footer.broken}")


def _between(start: TopicOffsets, end: TopicOffsets) -> Spans:
    """Return the spans that end at `end`; a partition that was not there at first begins at 0."""
    return {where: (start.get(where, 0), offset) for where, offset in end.items()}


def alerts_in(spans: Spans) -> int:
    """Return how many alerts lie in spans of offsets."""
    return sum(end - start for start, end in spans.values())


def _batch_before(last: int, ended: Mapping[int, datetime]) -> int:
    """Return the newest batch that ended `PACE_TIME` before the last one, or the oldest known.

    It is -1 where there is none before the last one.
    """
    others = {number: at for number, at in ended.items() if number < last}
    old = [number for number, at in others.items() if ended[last] - at >= PACE_TIME]
    return max(old) if old else min(others, default=-1)

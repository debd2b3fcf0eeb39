"""The raw store, read as the proof needs it: commits, manifest, rows by footers, quarantine."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from pyarrow import fs

from fink_k8s.core.diagnosis import Position
from fink_k8s.core.errors import Unavailable
from fink_k8s.core.names import checkpoint_path, quarantine_path, raw_path


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


class Store:
    """A store of raw alerts: `s3a://bucket/path` at an S3 endpoint."""

    def __init__(self, prefix: str, endpoint: str, *, access_key: str, secret_key: str) -> None:
        parts = urlsplit(endpoint)
        self._prefix = prefix
        self._endpoint = endpoint
        self._files = fs.S3FileSystem(
            access_key=access_key,
            secret_key=secret_key,
            endpoint_override=parts.netloc or None,
            scheme=parts.scheme or "https",
            region="us-east-1",
            connect_timeout=5,
            request_timeout=20,
        )

    def check(self) -> None:
        """Check that the bucket can be read.

        Raises:
            Unavailable: it cannot; the message names the store and the remedy.
        """
        bucket = urlsplit(self._prefix).netloc
        try:
            info = self._files.get_file_info(bucket)
        except OSError as error:
            raise Unavailable(
                f"store {self._prefix} at {self._endpoint} cannot be read: {str(error)[:200]}; "
                "check FINK_STORE_ENDPOINT and the connection fink_store"
            ) from error
        if info.type == fs.FileType.NotFound:
            raise Unavailable(f"store {self._prefix}: there is no bucket {bucket}; make it")

    def committed(self, night: str) -> list[int]:
        """Return the numbers of the batches that are committed, in order."""
        return self._numbers(checkpoint_path(self._prefix, night) + "/commits")

    def counts(self, night: str) -> NightCounts:
        """Count what is committed; batches in hand do not count.

        Rows come from the footers of exactly the files that the sink's manifest lists; files that
        no manifest lists are not counted.
        """
        checkpoint = checkpoint_path(self._prefix, night)
        batches = self.committed(night)
        if not batches:
            return NightCounts(0, 0, 0, 0)
        end = self._offsets(f"{checkpoint}/offsets/{batches[-1]}")
        start = self._offsets(f"{checkpoint}/sources/0/0")
        read = sum(offset - start.get(where, 0) for where, offset in end.items())
        stored = sum(self._rows(path) for path in self._manifest(night, batches[-1]))
        return NightCounts(batches[-1] + 1, read, stored, self._set_aside(night, batches[-1]))

    def position(self, night: str, topic: str) -> Position:
        """Return how far the night's checkpoint has come, whatever state it is in.

        What is written later is read later: a batch that ends meanwhile is no contradiction.
        """
        checkpoint = checkpoint_path(self._prefix, night)
        batches = self.committed(night)
        written = self._batches(raw_path(self._prefix, night) + "/_spark_metadata")
        planned = self._batches(checkpoint + "/offsets")
        last = batches[-1] if batches else -1
        position = Position(max(planned, default=-1), last, written=max(written, default=-1))
        if last not in planned:
            return position
        end = self._offsets(f"{checkpoint}/offsets/{last}")
        start = self._offsets(f"{checkpoint}/sources/0/0")
        return replace(
            position,
            committed_at=self._written_at(f"{checkpoint}/commits/{last}"),
            next={
                int(partition): offset for (name, partition), offset in end.items() if name == topic
            },
            read=sum(offset - start.get(where, 0) for where, offset in end.items()),
            set_aside=self._set_aside(night, last),
        )

    def write(self, folder: str, files: Mapping[str, str]) -> str:
        """Write texts, by name, below `folder` of the store; return the folder's address."""
        address = f"{self._prefix.rstrip('/')}/{folder}"
        for name, text in files.items():
            path = self._path(f"{address}/{name}")
            try:
                self._files.create_dir(path.rpartition("/")[0])
                with self._files.open_output_stream(path) as file:
                    file.write(text.encode())
            except OSError as error:
                raise Unavailable(f"{address} cannot be written: {str(error)[:200]}") from error
        return address

    def _manifest(self, night: str, last: int) -> list[str]:
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
        return [entry["path"] for entry in entries if entry["action"] == "add"]

    def _set_aside(self, night: str, last: int) -> int:
        folder = quarantine_path(self._prefix, night)
        total = 0
        for info in self._list(folder, recursive=True):
            batch = info.path.rpartition("/batch=")[2].partition("/")[0]
            if info.path.endswith(".parquet") and batch.isdigit() and int(batch) <= last:
                total += self._rows(info.path)
        return total

    def _rows(self, path: str) -> int:
        return int(pq.read_metadata(self._path(path), filesystem=self._files).num_rows)

    def _offsets(self, path: str) -> dict[tuple[str, str], int]:
        text = self._read(path)
        loaded = json.loads(text[text.rindex("\n{") if "\n{" in text else text.index("{") :])
        return {(topic, p): int(o) for topic, parts in loaded.items() for p, o in parts.items()}

    def _batches(self, folder: str) -> list[int]:
        """Return the batches of a log folder, those that a compact file holds by its number."""
        return sorted({*self._numbers(folder), *self._numbers(folder, ".compact")})

    def _written_at(self, path: str) -> datetime | None:
        info = self._files.get_file_info(self._path(path))
        return info.mtime.astimezone(UTC) if info.mtime else None

    def _numbers(self, folder: str, suffix: str = "") -> list[int]:
        names = [info.base_name.removesuffix(suffix) for info in self._list(folder)
                 if info.base_name.endswith(suffix)]  # fmt: skip
        return sorted(int(name) for name in names if name.isdigit())

    def _list(self, folder: str, *, recursive: bool = False) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self._path(folder), allow_not_found=True, recursive=recursive)
        try:
            return [i for i in self._files.get_file_info(selector) if i.type == fs.FileType.File]
        except OSError as error:
            raise Unavailable(f"store {folder} cannot be read: {str(error)[:200]}") from error

    def _read(self, path: str) -> str:
        with self._files.open_input_file(self._path(path)) as file:
            return str(file.read(), "utf-8")

    @staticmethod
    def _path(address: str) -> str:
        """Return `bucket/key` of an address with or without its scheme."""
        parts = urlsplit(address)
        return f"{parts.netloc}{parts.path}" if parts.scheme else address

"""Rows of many parquet files, by their footers alone, several files at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from fink_k8s.core.base.errors import Unavailable
from fink_k8s.core.base.progress import Say

# What is waited for is the store; the threads hold no core meanwhile.
_AT_ONCE = 16
_EACH = 1000


@dataclass(frozen=True)
class Footer:
    """How many rows a file has; or why that cannot be known, and never will be by asking again."""

    path: str
    rows: int = 0
    broken: str = ""


def footers_of(
    files: fs.FileSystem, paths: Sequence[str], say: Say = lambda _: None
) -> list[Footer]:
    """Read the footers of files, in their order; each is opened once. `say` gets the progress.

    Raises:
        Unavailable: the store does not answer.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="footers") as pool:
        try:
            return list(_counted(pool.map(lambda path: _footer(files, path), paths), paths, say))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _counted(footers: Iterator[Footer], paths: Sequence[str], say: Say) -> Iterator[Footer]:
    for number, footer in enumerate(footers, 1):
        if number % _EACH == 0:
            say(f"{number:,} of {len(paths):,} files counted")
        yield footer


def _footer(files: fs.FileSystem, path: str) -> Footer:
    try:
        return Footer(path, int(pq.read_metadata(path, filesystem=files).num_rows))
    except FileNotFoundError:
        return Footer(path, broken="it is not there")
    except pa.ArrowInvalid as error:
        return Footer(path, broken=str(error).partition("\n")[0][:200])
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {str(error)[:200]}") from error

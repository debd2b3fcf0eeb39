import threading
import time
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from fink_k8s.adapters.store import footers
from fink_k8s.adapters.store.footers import Footer, footers_of
from fink_k8s.core.base.errors import Unavailable

LOCAL = fs.LocalFileSystem()


@pytest.fixture
def parquet(tmp_path):
    def write(name, rows):
        pq.write_table(pa.table({"candid": list(range(rows))}), tmp_path / name)
        return str(tmp_path / name)

    return write


def test_rows_come_in_the_order_of_the_files(parquet):
    a, b, c = (parquet(f"{rows}.parquet", rows) for rows in (3, 0, 7))
    assert footers_of(LOCAL, [a, b, c]) == [Footer(a, 3), Footer(b, 0), Footer(c, 7)]
    assert footers_of(LOCAL, []) == []


@pytest.mark.parametrize("length", [0, 4, 200])
def test_a_file_that_was_cut_off_is_broken_and_the_others_are_counted(parquet, tmp_path, length):
    whole, cut = parquet("whole.parquet", 5), parquet("cut.parquet", 5)
    content = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:length])
    good, bad, gone = footers_of(LOCAL, [whole, cut, str(tmp_path / "gone.parquet")])
    assert (good.rows, good.broken) == (5, "")
    assert bad.broken
    assert gone.broken == "it is not there"


def test_a_store_that_is_away_ends_it_and_leaves_nothing_running(monkeypatch):
    asked = []

    def away(path, filesystem):
        asked.append(path)
        time.sleep(0.005)
        raise OSError("AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(footers.pq, "read_metadata", away)
    with pytest.raises(Unavailable, match=r"part-0 cannot be read: AWS Error"):
        footers_of(LOCAL, [f"part-{n}" for n in range(10_000)])
    assert len(asked) < 1_000
    assert not [t for t in threading.enumerate() if t.name.startswith("footers")]


def test_ten_thousand_files_are_opened_once_each_a_few_at_a_time(monkeypatch):
    lock, now, most, asked, said = threading.Lock(), [0], [0], [], []

    def read(path, filesystem):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            asked.append(path)
        time.sleep(0.0005)
        with lock:
            now[0] -= 1
        return SimpleNamespace(num_rows=2)

    monkeypatch.setattr(footers.pq, "read_metadata", read)
    paths = [f"part-{n}" for n in range(10_000)]
    assert sum(one.rows for one in footers_of(LOCAL, paths, said.append)) == 20_000
    assert sorted(asked) == sorted(paths)
    assert 1 < most[0] <= 16
    assert len(said) == 10
    assert said[0] == "1,000 of 10,000 files counted"

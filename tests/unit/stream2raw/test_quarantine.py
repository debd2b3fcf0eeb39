import json

import pytest

from stream2raw import quarantine as module
from stream2raw.arguments import parse
from stream2raw.quarantine import Quarantine
from tests.fakes import OWN_SCHEMA, FakeFiles

ARGUMENTS = parse([
    "-servers", "kafka:9092", "-topic", "ztf", "-online_data_prefix", "s3a://fink",
    "-night", "20250101", "-schema", OWN_SCHEMA,
])  # fmt: skip
CHECKPOINT = "s3a://fink/raw_checkpoint/20250101"
MARKER = f"{CHECKPOINT}/quarantine_checked"


def folder(batch):
    return f"s3a://fink/raw_quarantine/20250101/batch={batch}"


class FakeSpark:
    """Notes what is read of Kafka, and what is written where with which mode."""

    def __init__(self):
        self.reads = []
        self.written = []
        self.read = self

    def format(self, name):
        self.reads.append({"format": name})
        return self

    def option(self, name, value):
        self.reads[-1][name] = value
        return self

    def load(self):
        return self

    @property
    def write(self):
        return self

    def mode(self, mode):
        self.reads[-1]["mode"] = mode
        return self

    def parquet(self, path):
        self.written.append(path)

    def offsets(self):
        return [
            (json.loads(read["startingOffsets"]), json.loads(read["endingOffsets"]))
            for read in self.reads
        ]


@pytest.fixture(autouse=True)
def no_jvm(monkeypatch):
    monkeypatch.setattr(
        module, "decoded", lambda frame, schema, reader: frame.option("schema", schema)
    )
    monkeypatch.setattr(module, "set_aside", lambda frame, reader: frame.option("rows", "bad only"))


@pytest.fixture
def spark():
    return FakeSpark()


def night(committed, marker=None, start=0):
    """A checkpoint whose batch N ends at offset `start` + 10 (N + 1)."""
    files = FakeFiles({f"{CHECKPOINT}/sources/0/0": json.dumps({"ztf": {"0": start}})})
    for batch in range(committed):
        files.texts[f"{CHECKPOINT}/commits/{batch}"] = "v1\n{}"
        end = {"ztf": {"0": start + 10 * (batch + 1)}}
        files.texts[f"{CHECKPOINT}/offsets/{batch}"] = "v1\n{}\n" + json.dumps(end)
    if marker is not None:
        files.texts[MARKER] = str(marker)
    return files


def quarantine(spark, files):
    return Quarantine(spark, files, ARGUMENTS, "schema", reader=None)


def test_a_batch_with_bad_messages_is_read_once_more_by_its_own_offsets(spark):
    quarantine(spark, night(3, marker=1)).check(2, bad=1)
    assert spark.written == [folder(2)]
    assert spark.offsets() == [({"ztf": {"0": 20}}, {"ztf": {"0": 30}})]
    (read,) = spark.reads
    assert read["format"] == "kafka"
    assert read["kafka.bootstrap.servers"] == "kafka:9092"
    assert json.loads(read["assign"]) == {"ztf": [0]}
    assert (read["schema"], read["rows"], read["mode"]) == ("schema", "bad only", "overwrite")


def test_the_first_batch_begins_where_the_night_began(spark):
    quarantine(spark, night(1, start=500)).check(0, bad=1)
    assert spark.offsets() == [({"ztf": {"0": 500}}, {"ztf": {"0": 510}})]


def test_a_partition_that_came_in_the_batch_is_read_from_its_first_message(spark):
    files = night(2, marker=0)
    files.texts[f"{CHECKPOINT}/offsets/1"] = json.dumps({"ztf": {"0": 20, "1": 4}})
    quarantine(spark, files).check(1, bad=1)
    assert spark.offsets() == [({"ztf": {"0": 10, "1": 0}}, {"ztf": {"0": 20, "1": 4}})]


def test_a_clean_batch_is_not_read_again(spark):
    kept = quarantine(spark, night(2, marker=0))
    kept.check(1, bad=0)
    assert spark.written == []
    assert kept.checked == 1


def test_a_batch_that_nobody_counted_is_read_again(spark):
    quarantine(spark, night(1)).check(0, bad=None)
    assert spark.written == [folder(0)]


def test_a_batch_without_messages_is_not_read(spark):
    files = night(2, marker=0)
    files.texts[f"{CHECKPOINT}/offsets/1"] = files.texts[f"{CHECKPOINT}/offsets/0"]
    quarantine(spark, files).check(1, bad=None)
    assert spark.written == []


def test_checking_twice_writes_once(spark):
    kept = quarantine(spark, night(1))
    kept.check(0, bad=3)
    kept.check(0, bad=3)
    kept.check(0, bad=None)
    assert spark.written == [folder(0)]


def test_a_check_that_was_not_noted_writes_the_same_again(spark):
    files = night(1)
    quarantine(spark, files).check(0, bad=3)
    del files.texts[MARKER]
    quarantine(spark, files).check(0, bad=3)
    assert spark.written == [folder(0)] * 2
    assert spark.reads[0] == spark.reads[1]


@pytest.mark.parametrize(
    ("committed", "marker", "checked"),
    [(0, None, -1), (0, 7, -1), (3, None, -1), (3, 1, 1), (3, 2, 2), (3, 7, 2)],
)
def test_a_marker_is_trusted_up_to_the_last_commit(spark, committed, marker, checked):
    assert quarantine(spark, night(committed, marker)).checked == checked


def test_after_a_stale_marker_new_batches_are_checked(spark):
    files = night(0, marker=7)
    kept = quarantine(spark, files)
    files.texts.update(night(1).texts)
    kept.check(0, bad=1)
    assert spark.written == [folder(0)]


def test_mend_checks_what_a_dead_process_left(spark):
    files = night(4, marker=1)
    kept = quarantine(spark, files)
    kept.catch_up()
    assert spark.written == [folder(2), folder(3)]
    assert (kept.checked, files.texts[MARKER]) == (3, "3")
    kept.catch_up()
    assert len(spark.written) == 2


def test_a_batch_with_bad_messages_is_noted_at_once(spark):
    files = night(4, marker=2)
    quarantine(spark, files).check(3, bad=1)
    assert files.texts[MARKER] == "3"


def test_it_is_not_noted_before_it_is_written(spark):
    def fail(_):
        raise OSError("the store is away")

    files = night(4, marker=2)
    spark.parquet = fail
    kept = quarantine(spark, files)
    with pytest.raises(OSError, match="away"):
        kept.check(3, bad=1)
    kept.close()
    assert (kept.checked, files.texts[MARKER]) == (2, "2")


def test_clean_batches_are_noted_now_and_then_and_at_the_end(spark):
    files = night(13, marker=8)
    kept = quarantine(spark, files)
    noted = []
    for batch in range(9, 13):
        kept.check(batch, bad=0)
        noted.append(files.texts[MARKER])
    assert noted == ["8", "10", "10", "10"]
    kept.close()
    assert files.texts[MARKER] == "12"


def test_a_night_without_batches_leaves_no_marker(spark):
    files = night(0)
    quarantine(spark, files).close()
    assert MARKER not in files.texts

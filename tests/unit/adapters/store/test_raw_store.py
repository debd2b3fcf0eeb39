import json
import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from pyarrow import fs

from fink_k8s.adapters.store.raw_store import open_store
from fink_k8s.core.base.errors import OutOfSight, Refused, Unavailable
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.diagnosis.positions import Position
from fink_k8s.core.night.night_counts import NightCounts
from tests.bucket import NIGHT, PREFIX, Bucket


@pytest.fixture
def bucket(tmp_path):
    (tmp_path / "fink").mkdir()
    return Bucket(tmp_path)


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """How the S3 client was opened; it is a folder of this machine."""
    options = {}

    def local(**given):
        options.update(given)
        return fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())

    monkeypatch.setattr(fs, "S3FileSystem", local)
    return options


def s3_store(prefix=PREFIX, endpoint="http://s3:7070"):
    settings = Settings(store_prefix=prefix, store_endpoint=endpoint, store_region="here")
    return open_store(settings, access_key="key", secret_key="secret")


@pytest.fixture
def store(opened):
    return s3_store()


@pytest.mark.parametrize(
    ("endpoint", "host", "scheme"),
    [
        ("http://s3:7070", "s3:7070", "http"),
        ("https://s3.example", "s3.example", "https"),
        ("", None, "https"),
    ],
)
def test_the_store_is_opened_at_its_endpoint(opened, endpoint, host, scheme):
    s3_store(endpoint=endpoint)
    assert (opened["endpoint_override"], opened["scheme"]) == (host, scheme)
    assert (opened["access_key"], opened["secret_key"]) == ("key", "secret")
    assert opened["region"] == "here"


def test_a_bucket_that_can_be_read_passes(store, bucket):
    assert store.check() is None


def test_a_bucket_that_is_not_there_is_named(opened):
    with pytest.raises(Unavailable, match="does not have bucket elsewhere"):
        s3_store("s3a://elsewhere/ztf").check()


class Away:
    def get_file_info(self, _):
        raise OSError("AWS Error ACCESS_DENIED")


def test_a_store_that_refuses_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(fs, "S3FileSystem", lambda **_: Away())
    store = s3_store()
    with pytest.raises(Unavailable, match=r"at http://s3:7070 .*ACCESS_DENIED.*fink_store"):
        store.check()
    with pytest.raises(Unavailable, match="ACCESS_DENIED"):
        store.committed(NIGHT)


def test_a_night_without_a_stream_counts_nothing(store, bucket):
    assert store.committed(NIGHT) == []
    assert store.counts(NIGHT) == NightCounts(0, 0, 0, 0)
    assert store.counts(NIGHT).is_complete


def test_commits_come_in_order_of_their_numbers(store, bucket):
    for name in ("10", "9", "0", ".9.crc", "11.tmp"):
        bucket.write(f"raw_checkpoint/{NIGHT}/commits/{name}", "v1")
    assert store.committed(NIGHT) == [0, 9, 10]


def test_a_batch_that_was_begun_and_not_committed_is_planned_only(store, bucket):
    assert store.planned(NIGHT) == []
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5)
    bucket.batch(1, {"0": 9}, rows=4)
    (bucket.root / f"fink/ztf/raw_checkpoint/{NIGHT}/commits/1").unlink()
    assert (store.planned(NIGHT), store.committed(NIGHT)) == ([0, 1], [0])


def test_what_was_read_is_stored_or_set_aside(store, bucket):
    bucket.start({"0": 100, "1": 0})
    bucket.batch(0, {"0": 104, "1": 3}, rows=7)
    bucket.batch(1, {"0": 110, "1": 5}, rows=6)
    bucket.quarantine(1, rows=2)
    counts = store.counts(NIGHT)
    assert counts.as_dict() == {"batches": 2, "read": 15, "stored": 13, "set_aside": 2}
    assert counts.is_complete


def test_a_lost_row_shows(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=4)
    assert not store.counts(NIGHT).is_complete


def test_a_partition_added_in_the_night_counts_from_its_first_message(store, bucket):
    bucket.start({"0": 100})
    bucket.batch(0, {"0": 102, "1": 3}, rows=5)
    assert store.counts(NIGHT).read == 5


def test_two_topics_count_apart(store, bucket):
    bucket.start({"0": 10})
    bucket.batch(0, {"0": 12}, rows=5)
    plan = {"alerts": {"0": 12}, "others": {"0": 3}}
    bucket.write(f"raw_checkpoint/{NIGHT}/offsets/0", "v1\n{}\n" + json.dumps(plan))
    assert store.counts(NIGHT).read == 5


def test_the_batch_in_hand_does_not_count(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5)
    bucket.batch(1, {"0": 9}, rows=4)
    bucket.quarantine(1, rows=1)
    (bucket.root / f"fink/ztf/raw_checkpoint/{NIGHT}/commits/1").unlink()
    assert store.counts(NIGHT) == NightCounts(1, 5, 5, 0)


def test_a_file_that_no_manifest_lists_does_not_count(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5)
    bucket.parquet(f"raw/{NIGHT}/part-of-a-task-that-died.parquet", rows=99)
    assert store.counts(NIGHT).stored == 5


def test_a_file_that_the_manifest_takes_back_does_not_count(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5)
    taken = {"path": f"{PREFIX}/raw/{NIGHT}/part-9.parquet", "action": "delete"}
    bucket.manifest("0", 0)
    path = bucket.root / f"fink/ztf/raw/{NIGHT}/_spark_metadata/0"
    path.write_text(path.read_text() + "\n" + json.dumps(taken))
    assert store.counts(NIGHT).stored == 5


@pytest.fixture
def compacted(bucket):
    bucket.start({"0": 0})
    for number in range(12):
        bucket.batch(number, {"0": 2 * (number + 1)}, rows=2)
    bucket.manifest("9.compact", *range(10))
    return bucket


def test_a_compacted_manifest_counts_each_file_once(store, compacted):
    assert store.counts(NIGHT) == NightCounts(12, 24, 24, 0)


def test_logs_that_spark_has_cleaned_up_are_not_missed(store, compacted):
    for number in range(10):
        (compacted.root / f"fink/ztf/raw/{NIGHT}/_spark_metadata/{number}").unlink()
    assert store.counts(NIGHT).stored == 24


def test_a_compaction_of_the_batch_in_hand_is_not_used(store, compacted):
    for number in (9, 10, 11):
        (compacted.root / f"fink/ztf/raw_checkpoint/{NIGHT}/commits/{number}").unlink()
    assert store.counts(NIGHT) == NightCounts(9, 18, 18, 0)


def test_files_below_days_are_found(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 3}, rows=1)
    name = f"raw/{NIGHT}/year=2025/month=1/day=1/part-0.parquet"
    bucket.parquet(name, rows=3)
    entry = json.dumps({"path": f"{PREFIX}/{name}", "action": "add"})
    bucket.write(f"raw/{NIGHT}/_spark_metadata/0", f"v1\n{entry}")
    assert store.counts(NIGHT).stored == 3


def test_batches_whose_commits_spark_has_purged_are_counted(store, compacted):
    for number in range(5):
        (compacted.root / f"fink/ztf/raw_checkpoint/{NIGHT}/commits/{number}").unlink()
        (compacted.root / f"fink/ztf/raw_checkpoint/{NIGHT}/offsets/{number}").unlink()
    assert store.counts(NIGHT) == NightCounts(12, 24, 24, 0)


def test_what_is_still_being_set_aside_does_not_count(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=4)
    bucket.write(f"raw_quarantine/{NIGHT}/batch=0/_temporary/0/part-0.parquet", "")
    assert store.counts(NIGHT) == NightCounts(1, 5, 4, 0)
    bucket.quarantine(0, rows=1)
    assert store.counts(NIGHT).is_complete


def test_a_manifest_that_leads_elsewhere_is_refused(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5)
    for path in (
        "s3a://other/ztf/part-0.parquet",
        "s3a://fink/ztf2/part-0.parquet",
        "s3a://fink/ztf/../other/part-0.parquet",
        "file:///fink/ztf/part-0.parquet",
    ):
        entry = json.dumps({"path": path, "action": "add"})
        bucket.write(f"raw/{NIGHT}/_spark_metadata/0", f"v1\n{entry}")
        with pytest.raises(Refused, match=f"{path}, which is not below s3a://fink/ztf"):
            store.counts(NIGHT)


def claim_store(mount, prefix="pvc://claim/fink/ztf"):
    return open_store(Settings(store_prefix=prefix, store_mount=str(mount)))


@pytest.mark.parametrize("spelling", ["file:///var/lib/fink", "file:/var/lib/fink"])
def test_a_claim_is_read_where_the_workers_see_it(tmp_path, spelling):
    claim = Bucket(tmp_path, f"{spelling}/fink/ztf")
    claim.start({"0": 0})
    claim.batch(0, {"0": 5}, rows=4)
    claim.quarantine(0, rows=1)
    claim.write(f"raw_checkpoint/{NIGHT}/commits/.0.crc", "")
    claim.write(f"raw/{NIGHT}/_spark_metadata/.0.crc", "")
    store = claim_store(tmp_path)
    assert store.check() is None
    assert store.committed(NIGHT) == [0]
    assert store.counts(NIGHT) == NightCounts(1, 5, 4, 1)


def test_a_whole_claim_is_a_store(tmp_path):
    claim = Bucket(tmp_path, "file:///var/lib/fink")
    claim.root = tmp_path / "up"
    claim.start({"0": 0})
    claim.batch(0, {"0": 5}, rows=5)
    assert claim_store(tmp_path / "up/fink/ztf", "pvc://claim").counts(NIGHT).stored == 5


def test_a_claim_that_nobody_here_sees_is_out_of_sight():
    with pytest.raises(OutOfSight, match=r"FINK_STORE_MOUNT is not set.* claim claim"):
        claim_store("")


def test_what_is_listed_and_gone_is_named(tmp_path):
    claim = Bucket(tmp_path, "file:///var/lib/fink/fink/ztf")
    claim.start({"0": 0})
    claim.batch(0, {"0": 5}, rows=5)
    (tmp_path / f"fink/ztf/raw/{NIGHT}/part-0.parquet").unlink()
    with pytest.raises(Unavailable, match=r"part-0\.parquet cannot be read"):
        claim_store(tmp_path).counts(NIGHT)


def test_a_mount_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unavailable, match=r"does not have folder .*/away; set FINK_STORE_MOUNT"):
        claim_store(tmp_path / "away").check()


def hdfs_store(monkeypatch, answer):
    def connect(*where):
        if isinstance(answer, Exception):
            raise answer
        answer.append(where)
        return fs.LocalFileSystem()

    monkeypatch.setattr(fs, "HadoopFileSystem", connect)
    return open_store(Settings(store_prefix="hdfs://namenode:8020/fink"))


@pytest.mark.parametrize("library", ["libhdfs", "libjvm"])
def test_hdfs_without_its_client_is_out_of_sight(monkeypatch, library):
    with pytest.raises(OutOfSight, match=rf"Unable to load {library}\); .*ARROW_LIBHDFS_DIR"):
        hdfs_store(monkeypatch, OSError(f"Unable to load {library}\ndlopen(...) failed"))


def test_a_name_node_that_does_not_answer_is_unavailable(monkeypatch):
    with pytest.raises(Unavailable, match="HDFS connection failed"):
        hdfs_store(monkeypatch, OSError("HDFS connection failed"))


def test_hdfs_is_opened_at_its_name_node(monkeypatch):
    asked = []
    assert hdfs_store(monkeypatch, asked).check() is None
    assert asked == [("namenode", 8020)]


def test_a_night_that_nobody_has_written_has_no_position(store):
    assert store.position(NIGHT, "alerts") == Position()


def test_the_position_is_where_the_last_committed_batch_ended(bucket, store):
    bucket.start({"0": 5, "1": 0})
    bucket.batch(0, {"0": 15, "1": 4}, 12)
    bucket.batch(1, {"0": 25, "1": 8}, 14)
    bucket.quarantine(1, 2)
    # A batch in hand counts as planned alone.
    bucket.write(f"raw_checkpoint/{NIGHT}/offsets/2", "v1\n{}\n{}")
    position = store.position(NIGHT, "alerts")
    assert (position.planned, position.committed, position.written) == (2, 1, 1)
    assert (position.next, position.read, position.set_aside) == ({0: 25, 1: 8}, 28, 2)
    assert datetime.now(UTC) - position.committed_at < timedelta(minutes=5)
    # The offsets are those of the topic that is asked for.
    assert store.position(NIGHT, "another").next == {}


@pytest.mark.parametrize(
    ("gone", "seen"),
    [
        ("raw_checkpoint", Position(written=0)),
        ("raw", Position(0, 0, written=-1)),
    ],
)
def test_a_pair_of_which_one_half_is_gone_has_a_position_too(bucket, store, gone, seen):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 10}, 10)
    shutil.rmtree(bucket.root / f"fink/ztf/{gone}/{NIGHT}")
    found = store.position(NIGHT, "alerts")
    assert (found.planned, found.committed, found.written) == (
        seen.planned, seen.committed, seen.written,
    )  # fmt: skip


def test_a_manifest_that_was_compacted_counts_by_its_number(bucket, store):
    bucket.start({"0": 0})
    bucket.batch(9, {"0": 10}, 10)
    (bucket.root / f"fink/ztf/raw/{NIGHT}/_spark_metadata/9").unlink()
    bucket.manifest("9.compact", 9)
    assert store.position(NIGHT, "alerts").written == 9


def test_a_bundle_is_written_below_the_prefix(bucket, store):
    address = store.write("diagnosis/s/1", {"report.md": "words", "logs/a.log": "ü"})
    assert address == f"{PREFIX}/diagnosis/s/1"
    folder = bucket.root / "fink/ztf/diagnosis/s/1"
    assert (folder / "report.md").read_text() == "words"
    assert (folder / "logs/a.log").read_text(encoding="utf-8") == "ü"


def test_a_bundle_does_not_make_the_folder_that_a_stream_of_another_user_has_to_make(tmp_path):
    with pytest.raises(Unavailable, match="not there yet; its first stream makes it"):
        claim_store(tmp_path).write("diagnosis/s/1", {"report.md": "words"})
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_takes_nothing_is_told(bucket, store):
    bucket.write("diagnosis", "a file where a folder is due")
    with pytest.raises(Unavailable, match="cannot be written"):
        store.write("diagnosis/s/1", {"report.md": "words"})


def test_the_files_of_a_night_come_with_their_time_and_their_rows(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5, at=1735761600.25)
    bucket.batch(1, {"0": 9}, rows=3, at=1735761610)
    bucket.quarantine(1, rows=1)
    bucket.quarantine(2, rows=9)
    bucket.parquet(f"raw/{NIGHT}/part-of-a-task-that-died.parquet", rows=99)
    first, second, aside = store.written(NIGHT, 1)
    assert (first.at, first.rows) == (datetime(2025, 1, 1, 20, 0, 0, 250_000, UTC), 5)
    assert (second.rows, second.is_set_aside, second.broken) == (3, False, "")
    assert (aside.rows, aside.is_set_aside) == (1, True)
    assert store.written(NIGHT, 0) == [first]


def test_files_of_a_compacted_manifest_come_once_each(store, compacted):
    assert sum(one.rows for one in store.written(NIGHT, 11)) == 24


def test_a_file_that_is_gone_is_among_the_others(store, bucket):
    bucket.start({"0": 0})
    bucket.batch(0, {"0": 5}, rows=5)
    bucket.batch(1, {"0": 9}, rows=4)
    (bucket.root / f"fink/ztf/raw/{NIGHT}/part-0.parquet").unlink()
    gone, there = store.written(NIGHT, 1)
    assert (gone.rows, gone.broken, there.rows) == (0, "it is not there", 4)
    assert gone.path == f"{PREFIX}/raw/{NIGHT}/part-0.parquet"


def test_the_span_of_a_batch_reaches_from_the_nights_first_offset(store, bucket):
    bucket.start({"0": 3})
    bucket.batch(0, {"0": 5}, rows=2)
    bucket.batch(1, {"0": 9, "1": 2}, rows=6)
    assert store.spans(NIGHT, 1) == {("alerts", "0"): (3, 9), ("alerts", "1"): (0, 2)}


def test_a_text_is_read_back_up_to_a_limit_and_folders_are_listed(store, bucket):
    store.write("reports/a", {"facts.json": "0123456789"})
    assert store.text("reports/a/facts.json", most=4) == "0123"
    assert store.text("reports/b/facts.json") is None
    assert store.folders("reports") == ["a"]
    assert store.folders("elsewhere") == []


def test_a_store_that_is_away_is_told_to_those_who_read(monkeypatch):
    class Gone(Away):
        def open_input_file(self, _):
            raise OSError("AWS Error ACCESS_DENIED")

    monkeypatch.setattr(fs, "S3FileSystem", lambda **_: Gone())
    for look in (lambda store: store.text("a/b"), lambda store: store.folders("a")):
        with pytest.raises(Unavailable, match="ACCESS_DENIED"):
            look(s3_store())


def ended(bucket, *minutes_ago):
    """Write batches of ten alerts each, the first ended so many minutes ago, and so on."""
    bucket.start({"0": 0})
    for number, minutes in enumerate(minutes_ago):
        bucket.batch(number, {"0": 10 * (number + 1)}, 10)
        moment = datetime.now(UTC).timestamp() - 60 * minutes
        os.utime(bucket.root / f"fink/ztf/raw_checkpoint/{NIGHT}/commits/{number}", (moment,) * 2)


@pytest.mark.parametrize(
    ("minutes_ago", "earlier_read", "minutes"),
    [
        ((20, 12, 9, 6, 1), 40, 5),  # the newest that ended five minutes before the last
        ((9, 6.5, 3, 1), 20, 5.5),
        ((3, 2, 1), 10, 2),  # none is so old: the oldest
        ((70, 60), 10, 10),
    ],
)
def test_the_pace_is_that_of_the_last_minutes(bucket, store, minutes_ago, earlier_read, minutes):
    ended(bucket, *minutes_ago)
    position = store.position(NIGHT, "alerts")
    assert position.earlier_read == earlier_read
    assert position.pace == pytest.approx((position.read - earlier_read) / (60 * minutes), rel=0.02)


def test_one_batch_has_no_pace(bucket, store):
    ended(bucket, 1)
    position = store.position(NIGHT, "alerts")
    assert (position.earlier_at, position.pace) == (None, None)


def test_a_plan_that_spark_has_cleared_away_costs_the_pace_alone(bucket, store, monkeypatch):
    ended(bucket, 9, 1)
    read = type(store)._read

    def gone(self, path):
        if path.endswith("offsets/0"):
            raise Unavailable("gone")
        return read(self, path)

    monkeypatch.setattr(type(store), "_read", gone)
    position = store.position(NIGHT, "alerts")
    assert (position.committed, position.read, position.pace) == (1, 20, None)


def test_a_night_that_was_begun_names_its_topic(store, bucket):
    assert store.topics(NIGHT) == set()
    bucket.batch(0, {"0": 5}, rows=5)
    assert store.topics(NIGHT) == {"alerts"}

from datetime import UTC, datetime, timedelta

import pytest
from pyarrow import fs

from fink_k8s.adapters.night.night_reading import PastNight, read_night
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.core.base.errors import OutOfSight, Unavailable
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.night.night_report import sentence_of
from tests.bucket import NIGHT, PREFIX, Bucket
from tests.fakes import FakeArrivals

STREAM = f"stream2raw-ztf-{NIGHT}"
START = datetime(2025, 1, 1, 18, tzinfo=UTC)
END = START + timedelta(hours=10)


def at(seconds):
    return START + timedelta(seconds=seconds)


def every(seconds, number, first=0):
    """Return when so many alerts came, one each so many seconds."""
    return [at(first + seconds * n) for n in range(number)]


@pytest.fixture
def bucket(tmp_path):
    (tmp_path / "fink/ztf").mkdir(parents=True)
    return Bucket(tmp_path)


def look(bucket, arrivals, **changes):
    values = {"stream": STREAM, "topic": "alerts", "start": START, "end": END, "until": END}
    said = []
    files = fs.SubTreeFileSystem(str(bucket.root), fs.LocalFileSystem())
    return read_night(
        PastNight(**(values | changes)),
        lambda: Store(Settings(store_prefix=PREFIX).store, files),
        arrivals,
        PREFIX,
        said.append,
    )


def night_of(bucket, number=30, seconds=60, rows=6):
    """Write batches a minute apart, each of all that came in its minute; return the arrivals."""
    bucket.start({"0": 0})
    for n in range(number):
        bucket.batch(n, {"0": rows * (n + 1)}, rows, at=at(seconds * (n + 1)).timestamp())
    return FakeArrivals({0: every(seconds / rows, number * rows)})


def test_a_night_is_looked_back_at_from_store_and_topic_alone(bucket):
    facts = look(bucket, night_of(bucket))
    assert facts.is_verified
    assert facts.counts == NightCounts(30, 180, 180, 0)
    assert facts.address == f"{PREFIX}/raw/{NIGHT}"
    (one,) = facts.offsets
    assert (one.start, one.end, one.begins, one.due, one.high) == (0, 180, 0, 180, 180)
    assert facts.curve[-1].taken == facts.curve[-1].arrived == 180
    assert facts.longest_gap_s == pytest.approx(60, abs=0.1)


def test_what_is_set_aside_is_taken_in_too(bucket):
    arrivals = night_of(bucket)
    bucket.batch(30, {"0": 186}, 4, at=at(31 * 60).timestamp())
    bucket.quarantine(30, rows=2)
    arrivals.came[0] += every(10, 6, first=1800)
    facts = look(bucket, arrivals)
    assert facts.is_verified
    assert facts.counts == NightCounts(31, 186, 184, 2)
    # It is set aside now, long after the night: that is when the lag is 0 again.
    assert facts.curve[-1].lag == 0
    assert facts.curve[-2].lag == 2


def test_a_restart_under_load_is_the_longest_gap(bucket):
    arrivals = night_of(bucket)
    bucket.batch(30, {"0": 204}, 24, at=at(34 * 60).timestamp())
    arrivals.came[0] += every(10, 24, first=1800)
    facts = look(bucket, arrivals)
    assert 225 <= facts.longest_gap_s <= 240
    assert max(point.lag for point in facts.curve) == 24


def test_alerts_after_the_end_are_late_and_those_before_it_unread(bucket):
    arrivals = night_of(bucket)
    arrivals.came[0] += [END + timedelta(minutes=4)]
    facts = look(bucket, arrivals)
    assert (facts.unread, facts.late, facts.is_verified) == (0, 1, True)
    # The drain went on for five minutes: it is an alert of the night.
    facts = look(bucket, arrivals, until=END + timedelta(minutes=5))
    assert (facts.unread, facts.late, facts.is_verified) == (1, 0, False)


def test_a_stream_that_died_in_the_night_leaves_alerts_unread(bucket):
    arrivals = night_of(bucket)
    arrivals.came[0] += every(60, 100, first=4000)
    facts = look(bucket, arrivals)
    assert facts.unread == 100
    assert not facts.is_verified


def test_a_night_of_nothing(bucket):
    facts = look(bucket, FakeArrivals({0: [], 1: []}))
    assert facts.is_verified
    assert "no alert arrived in alerts" in sentence_of(facts)
    assert (facts.longest_gap_s, facts.unread) == (0.0, 0)


def test_a_stream_that_read_nothing_of_what_came(bucket):
    facts = look(bucket, FakeArrivals({0: every(60, 7)}))
    assert (facts.unread, facts.is_verified) == (7, False)


def test_a_partition_that_was_added_and_never_read_is_unread(bucket):
    arrivals = night_of(bucket)
    arrivals.came[1] = every(60, 3)
    facts = look(bucket, arrivals)
    assert [one.unread for one in facts.offsets] == [0, 3]


def test_a_file_that_is_gone_is_named_and_its_rows_are_missed(bucket):
    arrivals = night_of(bucket)
    (bucket.root / f"fink/ztf/raw/{NIGHT}/part-3.parquet").unlink()
    facts = look(bucket, arrivals)
    assert "part-3.parquet: it is not there" in facts.broken[0]
    assert [reason.partition(" ")[0] for reason in facts.reasons] == ["1", "6"]


def test_offsets_that_the_topic_lost_before_the_night_are_named(bucket):
    bucket.start({"0": 5})
    bucket.batch(0, {"0": 15}, 10, at=at(60).timestamp())
    arrivals = FakeArrivals({0: every(1, 10)}, begins={0: 5})
    assert look(bucket, arrivals).is_verified
    lost = look(bucket, arrivals, is_own_topic=True)
    assert "[0, 5) of partition 0" in lost.reasons[0]
    assert not look(bucket, arrivals, expected={0: 3}).is_verified
    assert look(bucket, arrivals, expected={0: 5}, is_own_topic=True).is_verified


def test_a_topic_that_is_gone_proves_nothing(bucket):
    night_of(bucket)
    facts = look(bucket, FakeArrivals({}))
    assert not facts.is_verified
    assert facts.counts.is_complete
    assert (facts.curve, facts.longest_gap_s) == ((), None)


def test_another_topics_offsets_are_not_this_ones(bucket):
    facts = look(bucket, FakeArrivals({0: []}), topic="others")
    assert [(one.start, one.end) for one in facts.offsets] == [(0, 0)]


def test_where_nobody_sees_the_store_the_facts_say_so():
    def away():
        raise OutOfSight("FINK_STORE_MOUNT is not set")

    window = PastNight(STREAM, "alerts", START, END, END)
    facts = read_night(window, away, FakeArrivals({0: []}), PREFIX)
    assert facts.reasons == ("the alerts were not counted: FINK_STORE_MOUNT is not set",)


def test_a_broker_that_is_away_is_no_verdict(bucket):
    class Away(FakeArrivals):
        def span(self):
            raise Unavailable("Kafka at kafka:9092 does not answer")

    with pytest.raises(Unavailable, match="kafka:9092"):
        look(bucket, Away({}))


def test_the_brokers_are_asked_a_bounded_number_of_times(bucket):
    arrivals = night_of(bucket, number=400, seconds=60, rows=1)
    look(bucket, arrivals)
    assert arrivals.asked <= 60 + 20 * 13 + 1

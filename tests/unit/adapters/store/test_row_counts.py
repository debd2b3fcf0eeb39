import json

import pytest

from fink_k8s.adapters.store.row_counts import CountSource, count_night
from fink_k8s.core.base.errors import OutOfSight, Unavailable
from fink_k8s.core.night.night_counts import NightCounts
from tests.fakes import FakeCluster

STREAM = "stream2raw-ztf-20260101"
COUNTS = NightCounts(2, 10, 9, 1)


class FakeStore:
    def counts(self, night):
        return {"20260101": COUNTS}[night]


@pytest.fixture
def cluster():
    made = FakeCluster()
    made.log = json.dumps({"stream2raw": "batch", "batch": 0, "messages": 7, "bad": 2})
    return made


def test_rows_are_counted_in_the_store_where_it_is_seen(cluster):
    count = count_night(FakeStore, cluster, "spark", STREAM)
    assert (count.counts, count.source, count.why) == (COUNTS, CountSource.STORE, "")
    assert str(count) == (
        "2 batches committed: 10 alerts read = 9 stored + 1 set aside; counted in the store"
    )


def test_where_nobody_sees_the_store_the_driver_is_believed_and_that_is_said(cluster):
    def out_of_sight():
        raise OutOfSight("FINK_STORE_MOUNT is not set")

    count = count_night(out_of_sight, cluster, "spark", STREAM)
    assert count.counts == NightCounts(1, 7, 5, 2)
    assert (count.source, count.why) == (CountSource.DRIVER, "FINK_STORE_MOUNT is not set")
    assert str(count).endswith(
        "the driver says so, no row was counted: FINK_STORE_MOUNT is not set"
    )


def test_a_store_that_is_only_away_is_not_replaced_by_the_drivers_word(cluster):
    def away():
        raise Unavailable("the store is away")

    with pytest.raises(Unavailable):
        count_night(away, cluster, "spark", STREAM)


def test_a_store_that_shows_nothing_of_what_the_driver_speaks_of_is_probably_another(cluster):
    class OtherStore:
        def counts(self, night):
            return NightCounts(0, 0, 0, 0)

    count = count_night(OtherStore, cluster, "spark", STREAM)
    assert (count.counts.batches, count.source) == (0, CountSource.STORE)
    assert "the driver speaks of 1 batches, but the store shows none" in count.why
    cluster.log = ""
    assert count_night(OtherStore, cluster, "spark", STREAM).why == ""

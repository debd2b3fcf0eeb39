import pytest

from fink_k8s.adapters.store.row_counts import Count, CountSource
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.glue.stream import sensors

STREAM = "stream2raw-ztf-20260101"


@pytest.fixture
def poke(monkeypatch):
    """Look once, where the count is the given one and the cluster holds no such stream."""

    def look(count):
        monkeypatch.setattr(sensors, "count_night", lambda *_: count)
        monkeypatch.setattr(sensors, "cluster", lambda _: None)
        monkeypatch.setattr(sensors, "observe", lambda *_: Evidence(None))
        return sensors.FirstBatchSensor(task_id="wait", stream=STREAM).poke({})

    return look


def test_a_batch_in_the_store_is_told_with_its_counts(poke):
    result = poke(Count(NightCounts(1, 10, 9, 1), CountSource.STORE))
    assert result.is_done
    assert result.xcom_value == {
        "batches": 1, "read": 10, "stored": 9, "set_aside": 1, "counted_by": "store",
    }  # fmt: skip


def test_a_batch_that_only_the_driver_speaks_of_is_told_as_such(poke):
    result = poke(
        Count(NightCounts(1, 10, 9, 1), CountSource.DRIVER, "FINK_STORE_MOUNT is not set")
    )
    assert result.xcom_value["counted_by"] == "driver"


def test_a_stream_that_is_gone_without_a_batch_fails(poke):
    with pytest.raises(Exception, match="no batch was committed: the stream does not exist"):
        poke(Count(NightCounts(0, 0, 0, 0), CountSource.STORE))

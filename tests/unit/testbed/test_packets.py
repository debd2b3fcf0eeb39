import io
from itertools import islice

import fastavro
import pytest

from testbed.alerts.packets import CORRUPTIONS, SCHEMA_FILE, TEMPLATES, alerts, corrupted

COUNT = 2 * TEMPLATES + 1


def read(packet):
    return list(fastavro.reader(io.BytesIO(packet)))


@pytest.fixture(scope="module")
def packets():
    return list(alerts(1, COUNT))


@pytest.fixture(scope="module")
def records(packets):
    return [record for packet in packets for record in read(packet)]


def test_the_same_seed_gives_the_same_bytes(packets):
    assert list(alerts(1, COUNT)) == packets


def test_another_seed_gives_other_images(records):
    (other,) = read(next(alerts(2, 1)))
    image = other["cutoutScience"]["stampData"]
    assert image not in [record["cutoutScience"]["stampData"] for record in records]


def test_a_longer_run_begins_with_the_same_alerts(packets):
    assert list(islice(alerts(1, 10 * COUNT), COUNT)) == packets


def test_each_packet_is_one_alert(packets, records):
    assert len(records) == len(packets) == COUNT


def test_candids_are_unique_within_and_across_seeds():
    seeds = (0, 1, 2, 999_999)
    candids = [read(packet)[0]["candid"] for seed in seeds for packet in alerts(seed, 20)]
    assert len(set(candids)) == len(seeds) * 20


def test_an_alert_agrees_with_itself(records):
    for record in records:
        assert record["candid"] == record["candidate"]["candid"] > 0
        assert record["objectId"].startswith("ZTF26")
    assert len({record["objectId"] for record in records}) == COUNT


def test_alerts_come_ten_a_second_from_the_first_date(records):
    first = 2_461_041.5
    dates = [record["candidate"]["jd"] for record in records]
    assert dates == [first + number / 864_000 for number in range(COUNT)]
    (moved,) = read(next(alerts(1, 1, first_jd=2_460_000.5)))
    assert moved["candidate"]["jd"] == 2_460_000.5


def test_alerts_are_of_the_shipped_schema(records):
    schema = fastavro.schema.load_schema(SCHEMA_FILE)
    assert all(fastavro.validate(record, schema) for record in records)


def test_alerts_carry_their_history(records):
    assert all(record["fp_hists"] and record["prv_candidates"] for record in records)


def test_alerts_are_as_large_as_ztfs(packets):
    assert all(60_000 <= len(packet) <= 72_000 for packet in packets)


@pytest.mark.parametrize("kind", ["flipped", "truncated"])
def test_damaged_alerts_cannot_be_read(packets, kind):
    for packet in packets:
        damaged = corrupted(packet, kind)
        assert damaged
        with pytest.raises((ValueError, EOFError)):
            read(damaged)


def test_a_flipped_alert_keeps_its_length_and_differs_in_one_byte(packets):
    damaged = corrupted(packets[0], "flipped")
    assert len(damaged) == len(packets[0])
    assert sum(a != b for a, b in zip(damaged, packets[0], strict=True)) == 1


def test_empty_and_tombstone_have_nothing_to_read(packets):
    assert corrupted(packets[0], "empty") == b""
    assert corrupted(packets[0], "tombstone") is None


def test_an_unknown_corruption_is_refused_with_the_known_ones(packets):
    with pytest.raises(ValueError, match="burnt") as caught:
        corrupted(packets[0], "burnt")
    assert all(kind in str(caught.value) for kind in CORRUPTIONS)

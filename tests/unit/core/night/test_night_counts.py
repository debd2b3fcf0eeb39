import json

import pytest

from fink_k8s.core.night.night_counts import NightCounts, counts_said


def line(**facts):
    return json.dumps({"stream2raw": "batch", **facts})


def test_the_drivers_lines_of_batches_add_up():
    log = "\n".join([
        "26/01/01 00:00:00 WARN NativeCodeLoader: Unable to load",
        json.dumps({"stream2raw": "started", "output": "file:///var/lib/fink/raw/20260101"}),
        line(batch=0, messages=100, bad=3, seconds=1.5),
        line(batch=1, messages=50, bad=0, seconds=1.5),
    ])  # fmt: skip
    assert counts_said(log) == NightCounts(batches=2, read=150, stored=147, set_aside=3)


def test_a_driver_that_went_on_with_a_night_tells_its_own_batches():
    assert counts_said(line(batch=41, messages=7, bad=0)) == NightCounts(42, 7, 7, 0)


def test_a_batch_told_twice_counts_once():
    twice = "\n".join([line(batch=0, messages=5, bad=0)] * 2)
    assert counts_said(twice).read == 5


def test_a_batch_without_counts_is_a_batch():
    log = line(batch=0, counts="not given; read once more")
    assert counts_said(log) == NightCounts(1, 0, 0, 0)


@pytest.mark.parametrize(
    "log", ["", "no JSON", '2raw": "batch", "batch": 1}', '{"stream2raw": "batch"}',
            '{"stream2raw": "batch", "batch": "1"}', '["stream2raw"]', '{"a": "stream2raw"}']
)  # fmt: skip
def test_what_is_no_line_of_a_batch_counts_nothing(log):
    assert counts_said(log) == NightCounts(0, 0, 0, 0)

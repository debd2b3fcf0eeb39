import pytest

from stream2raw.checkpoint import (
    BrokenPair,
    batches,
    check_pair,
    end_of,
    offsets_from,
    start_of,
)
from tests.fakes import FakeFiles


def night(written=(), planned=(), committed=()):
    folders = {"out/_spark_metadata": written, "cp/offsets": planned, "cp/commits": committed}
    names = [f"{folder}/{number}" for folder, numbers in folders.items() for number in numbers]
    return FakeFiles(dict.fromkeys(names, "v1"))


GOOD = {
    "fresh": night(),
    "planned, nothing written": night(planned=[0]),
    "first batch: manifest, no commit": night([0], [0]),
    "ended between two batches": night(range(3), range(3), range(3)),
    "planned the next": night(range(3), range(4), range(3)),
    "crash between manifest and commit": night(range(4), range(4), range(3)),
    "old logs cleaned up": night([209, 210], range(110, 211), range(110, 211)),
}


@pytest.mark.parametrize("files", GOOD.values(), ids=GOOD)
def test_one_pair_passes(files):
    assert check_pair(files, "out", "cp") is None


BROKEN = {
    "output without checkpoint": (night(written=range(3)), "batches up to 2, but .* is empty"),
    "checkpoint without output": (
        night(planned=range(3), committed=range(3)),
        "has committed batch 2, but out has no _spark_metadata",
    ),
    "output is older": (night(range(3), range(6), range(6)), "up to 2, .* committed up to 5"),
    "output is older by one": (night(range(3), range(4), range(4)), "up to 2, .* up to 3"),
    "output is newer": (night(range(6), range(3), range(3)), "up to 5, .* committed up to 2"),
    "output is newer by two": (night(range(5), range(4), range(3)), "up to 4, .* up to 2"),
    "output of another run": (night(range(3), [0]), "up to 2, .* committed up to none"),
    "commits lost": (night(range(3), range(3)), "up to 2, .* committed up to none"),
}


@pytest.mark.parametrize(("files", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_pair_is_refused_with_both_named(files, words):
    with pytest.raises(BrokenPair, match=words) as caught:
        check_pair(files, "out", "cp")
    assert "out" in str(caught.value)
    assert "cp" in str(caught.value)
    assert "bring" in str(caught.value)


def test_a_compacted_manifest_counts_by_its_number():
    files = night(range(9), range(10), range(10))
    files.texts["out/_spark_metadata/9.compact"] = "v1"
    assert check_pair(files, "out", "cp") is None


def test_batches_are_in_order_of_their_numbers_and_nothing_else():
    names = ("10", "9", "9.compact", ".10.crc", ".11.1f-2e.tmp", "_SUCCESS")
    files = FakeFiles({f"cp/{name}": "" for name in names})
    assert batches(files, "cp") == [9, 10]
    assert batches(files, "elsewhere") == []


PLAN = 'v1\n{"batchWatermarkMs":0,"conf":{"a":"b"}}\n{"ztf":{"0":5,"1":"7"}}'


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        (PLAN, {"ztf": {"0": 5, "1": 7}}),
        (PLAN + "\n", {"ztf": {"0": 5, "1": 7}}),
        ('\0v1\n{"ztf":{"0":5}}', {"ztf": {"0": 5}}),
        ('\0{"ztf":{"0":5}}', {"ztf": {"0": 5}}),
        ("v1", {}),
        ("", {}),
    ],
)
def test_offsets_are_read_from_sparks_logs(text, offsets):
    assert offsets_from(text) == offsets


def test_a_batch_begins_where_the_one_before_ended():
    files = FakeFiles(
        {
            "cp/sources/0/0": '\0v1\n{"ztf":{"0":1}}',
            "cp/offsets/0": 'v1\n{}\n{"ztf":{"0":4}}',
            "cp/offsets/1": 'v1\n{}\n{"ztf":{"0":9}}',
        }
    )
    assert start_of(files, "cp", 0) == {"ztf": {"0": 1}}
    assert end_of(files, "cp", 0) == start_of(files, "cp", 1) == {"ztf": {"0": 4}}


def test_a_night_without_first_offsets_begins_nowhere():
    assert start_of(FakeFiles({}), "cp", 0) == {}


def test_a_batch_that_the_checkpoint_no_longer_holds_is_named():
    with pytest.raises(FileNotFoundError, match="cp/offsets/3"):
        end_of(FakeFiles({}), "cp", 3)


def test_a_checkpoint_older_by_one_plan_is_refused():
    with pytest.raises(BrokenPair):
        check_pair(night(range(4), range(3), range(3)), "out", "cp")


@pytest.mark.parametrize(
    "files",
    [
        night(range(3), range(6), range(3)),
        night([0], range(3)),
        night(planned=range(3)),
    ],
)
def test_plans_beyond_the_batch_in_hand_are_refused(files):
    with pytest.raises(BrokenPair):
        check_pair(files, "out", "cp")

import pytest

from stream2raw import arguments
from stream2raw.arguments import BadArgument, parse
from tests.fakes import OWN_SCHEMA

NEW = {
    "-servers": "kafka:9092",
    "-topic": "ztf_public_20250101",
    "-online_data_prefix": "s3a://fink",
    "-night": "20250101",
    "-schema": OWN_SCHEMA,
}
OLD = {
    "-servers": "kafka-0:9092,kafka-1:9093",
    "-topic": "ztf_.*",
    "-rawdatapath": "s3a://fink/raw/",
    "-checkpointpath_raw": "s3a://fink/raw_checkpoint/",
    "-schema": OWN_SCHEMA,
}


def parsed(flags, **changes):
    flags = {**flags, **{f"-{name}": value for name, value in changes.items()}}
    words = [word for flag, value in flags.items() if value is not None for word in (flag, value)]
    return parse(words)


def test_the_newer_flags_give_one_folder_a_night():
    given = parsed(NEW)
    assert given.output == "s3a://fink/raw/20250101"
    assert given.checkpoint == "s3a://fink/raw_checkpoint/20250101"
    assert given.quarantine == "s3a://fink/raw_quarantine/20250101"
    assert not given.by_day


def test_the_flags_of_fink_2_4_give_days():
    given = parsed(OLD)
    assert given.output == "s3a://fink/raw"
    assert given.checkpoint == "s3a://fink/raw_checkpoint"
    assert given.quarantine == "s3a://fink/raw_quarantine"
    assert given.by_day


def test_what_is_not_given_has_a_default():
    given = parsed(NEW)
    assert (given.servers, given.topic) == ("kafka:9092", "ztf_public_20250101")
    assert given.starting_offsets == "earliest"
    assert (given.trigger_interval, given.max_offsets_per_trigger) == (5, 5000)
    assert given.exit_after == 64800
    assert given.fail_on_data_loss is True


def test_what_is_given_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(arguments, "producers", lambda: ["lsst", "ztf"])
    schema = tmp_path / "mine.avsc"
    schema.write_text("{}")
    given = parsed(
        NEW,
        startingoffsets_stream='{"ztf": {"0": 5}}',
        tinterval="60",
        max_offsets_per_trigger="10",
        exit_after="100",
        fail_on_data_loss="false",
        schema=str(schema),
        producer="lsst",
        spark_log_level="ERROR",
    )
    assert given.starting_offsets == '{"ztf": {"0": 5}}'
    assert (given.trigger_interval, given.max_offsets_per_trigger) == (60, 10)
    assert (given.exit_after, given.fail_on_data_loss) == (100, False)
    assert (given.schema, given.producer) == (schema, "lsst")
    assert given.spark_log_level == "ERROR"


def test_a_slash_at_the_end_of_the_prefix_does_not_matter():
    assert parsed(NEW, online_data_prefix="s3a://fink/") == parsed(NEW)


@pytest.mark.parametrize("offsets", ["earliest", "latest", "{}"])
def test_legal_offsets_pass(offsets):
    assert parsed(NEW, startingoffsets_stream=offsets).starting_offsets == offsets


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("servers", "kafka"),
        ("servers", "kafka:9092,"),
        ("servers", "kafka:9092 kafka:9093"),
        ("servers", "http://kafka:9092"),
        ("servers", None),
        ("topic", ""),
        ("topic", "x" * 501),
        ("topic", None),
        ("startingoffsets_stream", "yesterday"),
        ("startingoffsets_stream", "[1]"),
        ("startingoffsets_stream", '{"ztf": '),
        ("online_data_prefix", ""),
        ("night", ""),
        ("night", "2025-01-01"),
        ("night", "20250230"),
        ("night", "20250101\n"),
        ("night", "٢٠٢٥٠١٠١"),
        ("tinterval", "0"),
        ("tinterval", "-5"),
        ("tinterval", "fast"),
        ("max_offsets_per_trigger", "0"),
        ("max_offsets_per_trigger", "1.5"),
        ("exit_after", "-1"),
        ("exit_after", ""),
        ("fail_on_data_loss", "yes"),
        ("schema", "/nowhere.avsc"),
        ("schema", ""),
        ("schema", None),
    ],
)
def test_a_bad_value_names_its_flag(flag, value):
    with pytest.raises(BadArgument, match=f"-{flag}"):
        parsed(NEW, **{flag: value})


def test_a_directory_is_no_schema(tmp_path):
    with pytest.raises(BadArgument, match="-schema"):
        parsed(NEW, schema=str(tmp_path))


@pytest.mark.parametrize("missing", ["rawdatapath", "checkpointpath_raw"])
def test_the_paths_of_fink_2_4_come_as_a_pair(missing):
    with pytest.raises(BadArgument, match=r"-checkpointpath_raw.*-rawdatapath.*one pair"):
        parsed(OLD, **{missing: None})


def test_an_unknown_flag_is_refused():
    with pytest.raises(BadArgument, match="-trigger 5"):
        parsed(NEW, trigger="5")


def test_a_shortened_flag_is_refused():
    with pytest.raises(BadArgument, match="-tint 5"):
        parsed(NEW, tint="5")


def test_an_outside_text_is_shown_short_and_in_ascii():
    with pytest.raises(BadArgument) as caught:
        parsed(NEW, night="\u202e" + "9" * 1000)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 200


def test_a_producer_whose_alerts_nobody_reads_is_refused_with_those_there_are():
    with pytest.raises(BadArgument, match=r"-producer 'atlas' is refused; give .* can read: ztf"):
        parsed(NEW, producer="atlas")

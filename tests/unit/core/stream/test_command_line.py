"""The command line of stream2raw, in the flags that the program takes."""

from pathlib import Path

import pytest

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Flags
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.config.surveys import load_surveys
from fink_k8s.core.image.image_plan import OWN_MAIN_FILE
from fink_k8s.core.stream.command_line import arguments_of
from fink_k8s.core.stream.job_flags import flags_in, prefix_in
from fink_k8s.core.stream.stream_request import StreamRequest
from stream2raw.arguments import parse
from tests.fakes import OWN_SCHEMA

FINKS = "/opt/fink/bin/stream2raw.py"
SURVEYS = load_surveys().surveys
SETTINGS = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink/online")
PREFIX_FLAGS = {
    *("-servers", "-topic", "-schema", "-startingoffsets_stream", "-online_data_prefix", "-night"),
    *("-producer", "-tinterval", "-max_offsets_per_trigger", "-exit_after", "-log_level"),
    "-spark_log_level",
}
# fink_broker/parser.py of 2.4 ends with an error on any other flag.
PATHS_FLAGS = {
    *("-servers", "-topic", "-schema", "-startingoffsets_stream", "-rawdatapath"),
    *("-checkpointpath_raw", "-tinterval", "-exit_after", "-log_level"),
}


def request(**fields):
    return StreamRequest(**{"night": "20260101", "topic": "ztf_public_20260101", **fields})


def flags(main_file=FINKS, generation=Flags.PREFIX, **fields):
    words = arguments_of(request(**fields), SETTINGS, main_file, generation)
    assert len(words) % 2 == 0
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert flags_in(["driver", "local:///job.py", *words]) == given
    return given


@pytest.mark.shows("docs/from-the-command-line.md#submit")
def test_finks_code_of_today_is_given_all_its_flags():
    given = flags(schema_file="/schemas/ztf.avsc", log_level="DEBUG", spark_log_level="ERROR")
    assert given.keys() == PREFIX_FLAGS
    assert given["-schema"] == "/schemas/ztf.avsc"
    assert (given["-log_level"], given["-spark_log_level"]) == ("DEBUG", "ERROR")


def test_finks_code_of_2_4_is_given_paths_and_no_flag_that_it_refuses():
    given = flags(generation=Flags.PATHS, schema_file="schemas/ztf.avsc")
    assert given.keys() == PATHS_FLAGS
    assert given["-schema"] == "/opt/fink/schemas/ztf.avsc"
    assert given["-rawdatapath"] == "s3a://fink/online/raw/20260101"
    assert given["-checkpointpath_raw"] == "s3a://fink/online/raw_checkpoint/20260101"


@pytest.mark.parametrize("field", [{"max_offsets_per_trigger": 9}, {"spark_log_level": "INFO"}])
def test_what_2_4_has_no_flag_for_is_refused_by_name(field):
    [name] = field
    with pytest.raises(InvalidRequest, match=f"{name}: .* has no such flag; keep "):
        flags(generation=Flags.PATHS, **field)
    assert flags(OWN_MAIN_FILE, Flags.PATHS, **field)


@pytest.mark.parametrize("generation", Flags)
def test_this_project_s_job_reads_what_it_is_given_on_any_release(generation):
    given = flags(OWN_MAIN_FILE, generation)
    assert given.keys() == PREFIX_FLAGS
    assert Path(given["-schema"]).name == Path(OWN_SCHEMA).name
    words = [word for pair in ({**given, "-schema": OWN_SCHEMA}).items() for word in pair]
    read = parse(words)
    assert (read.output, read.producer) == ("s3a://fink/online/raw/20260101", "ztf")
    assert (read.log_level, read.spark_log_level) == ("INFO", "WARN")


@pytest.mark.parametrize("generation", Flags)
def test_where_a_stream_writes_is_told_by_either_generation(generation):
    assert prefix_in(flags(generation=generation)) == "s3a://fink/online"
    assert prefix_in({"-topic": "t"}) == ""


def test_a_program_that_knows_its_schema_is_given_none():
    assert "-schema" not in flags()


@pytest.mark.parametrize("survey", [one.name for one in SURVEYS if not one.schema_file])
def test_a_survey_that_this_project_s_job_does_not_read_is_refused_by_name(survey):
    with pytest.raises(
        InvalidRequest, match=rf"survey {survey}: .* build Fink's code \(fink_source\)"
    ):
        flags(OWN_MAIN_FILE, survey=survey, schema_file="/s.avsc")
    assert flags(survey=survey, schema_file="/s.avsc")["-producer"] == survey


@pytest.mark.parametrize("survey", [one for one in SURVEYS if one.schema_file])
def test_the_schema_of_a_survey_is_there(survey):
    assert Path(OWN_SCHEMA).with_name(survey.schema_file).is_file()

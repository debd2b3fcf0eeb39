import re

import pytest
from pydantic import ValidationError

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.core.stream.stream_request import (
    DeployRequest,
    DeployStage,
    DiagnoseRequest,
    RbacMode,
    RbacRequest,
    StreamRequest,
)

GIT = "https://github.com/astrolabsoftware/fink-broker"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def refusal(model, **fields):
    """Return the field that is refused, and the rule."""
    with pytest.raises(ValidationError) as caught:
        model(**fields)
    [error] = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


def test_an_empty_request_is_tonights_ztf_with_least_rights_and_all_stages():
    request = DeployRequest()
    assert (request.survey, request.night, request.topic) == ("ztf", "", "")
    assert request.starting_offsets == "earliest"
    assert request.rbac_mode is RbacMode.LEAST_PRIVILEGE
    assert request.executors == 1
    assert (request.release, request.image_tag, request.skip) == ("", "", [])


@pytest.mark.parametrize(
    "fields",
    [
        {"night": "20240229"},
        {"survey": "lsst", "topic": "alerts.v7-1", "skip": ["image"]},
        {"topic": "x" * 249},
        {"starting_offsets": "latest"},
        {"executors": 1},
        {"executors": 100},
        {"driver_memory": "900m", "executor_memory": "2g"},
        {"driver_memory": "999999m"},
        {"trigger_interval_s": 3600, "max_offsets_per_trigger": 1_000_000},
        {"exit_after_s": 60},
        {"executor_cores": 64},
        {"release": "4.0_3.5.7"},
        {"image_tag": "4.0_3.5.7"},
        {"image_tag": DIGEST, "skip": ["image"]},
        {"fink_source": "fink.tar.gz", "fink_requirements": "science", "schema_file": "s.avro"},
        {
            "fink_source": GIT,
            "fink_revision": "v4.0",
            "main_file": "bin/rubin/stream2raw.py",
            "schema_file": "/schemas/7_1.avsc",
            "survey": "lsst",
        },
        {"survey": "lsst", "dockerfile": "mine"},
        {"log_level": "DEBUG", "spark_log_level": "ERROR"},
        {"fink_requirements_folder": "deps/ztf", "dockerfile": "mine"},
        {"main_file": "/opt/fink-broker/bin/stream2raw.py", "skip": ["image"]},
        {"image_action": "build-in-minikube", "extra_jars": ["g:a:1"]},
        {"image_action": "build", "skip": ["image"]},
        {"rbac_mode": "cluster-edit"},
        {"skip": ["preflight", "rbac", "image", "healthy", "first_batch"]},
    ],
)
def test_what_keeps_the_rules_is_taken(fields):
    request = DeployRequest(**fields)
    assert {name: getattr(request, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("survey", "", "is unknown; use one of ztf, lsst, elasticc"),
        ("survey", "atlas", "is unknown; use one of ztf, lsst, elasticc"),
        ("night", "2024-1-1", "should match pattern"),
        ("night", "2024", "should match pattern"),
        ("night", "../20240101", "at most 8 characters"),
        ("night", "20240101\n", "at most 8 characters"),
        ("night", "\uff12\uff10\uff12\uff14\uff10\uff11\uff10\uff11", "should match pattern"),
        ("night", "20240230", "no date of the calendar; give"),
        ("night", "20991231", "lies in the future; give a night up to"),
        ("topic", ".*", "should match pattern"),
        ("topic", "..", "patterns such as"),
        ("topic", "x" * 250, "at most 249 characters"),
        ("topic", "a\0b", "should match pattern"),
        ("topic", "topic\n", "should match pattern"),
        ("starting_offsets", "first", "'earliest' or 'latest'"),
        ("trigger_interval_s", 0, "greater than or equal to 1"),
        ("trigger_interval_s", 3601, "less than or equal to 3600"),
        ("max_offsets_per_trigger", 0, "greater than or equal to 1"),
        ("max_offsets_per_trigger", 10**6 + 1, "less than or equal to 1000000"),
        ("exit_after_s", 59, "greater than or equal to 60"),
        ("exit_after_s", 172_801, "less than or equal to 172800"),
        ("schema_file", "schema.json", "should match pattern"),
        ("schema_file", "../schema.avsc", "is no relative path"),
        ("schema_file", "s.avsc\n", "should match pattern"),
        ("log_level", "TRACE", "'DEBUG', 'INFO', 'WARN' or 'ERROR'"),
        ("executors", 0, "greater than or equal to 1"),
        ("executors", -1, "greater than or equal to 1"),
        ("executors", 10**6, "less than or equal to 100"),
        ("executors", 1.5, "valid integer"),
        ("executors", "many", "valid integer"),
        ("executors", None, "valid integer"),
        ("executor_cores", 0, "greater than or equal to 1"),
        ("executor_cores", 65, "less than or equal to 64"),
        ("driver_memory", "", "should match pattern"),
        ("driver_memory", "1GB", "should match pattern"),
        ("driver_memory", "0g", "should match pattern"),
        ("driver_memory", "1.5g", "should match pattern"),
        ("driver_memory", "-1g", "should match pattern"),
        ("driver_memory", "1g\n", "should match pattern"),
        ("driver_memory", "\uff11g", "should match pattern"),
        ("driver_memory", "1000000m", "at most 7 characters"),
        ("executor_memory", "1GB", "should match pattern"),
        ("executor_memory", "1G", "should match pattern"),
        ("rbac_mode", "cluster-admin", "'least-privilege' or 'cluster-edit'"),
        ("release", "4.0", "should match pattern"),
        ("release", "$(id)", "should match pattern"),
        ("release", "4.0_3.5.7\n", "should match pattern"),
        ("image_tag", "a b", "should match pattern"),
        ("image_tag", "$(id)", "should match pattern"),
        ("image_tag", "other/image", "should match pattern"),
        ("image_tag", "host:tag", "is no image tag; give e.g. 4.0_3.5.7"),
        ("image_tag", ".hidden", "is no image tag"),
        ("image_tag", "sha256:abc", "is no digest; give sha256: and 64 hex digits"),
        ("image_tag", DIGEST.upper().replace("SHA", "sha"), "is no digest"),
        ("image_tag", "a" * 129, "at most 128 characters"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_field_and_rule(field, value, rule):
    where, message = refusal(DeployRequest, **{field: value})
    assert where == field
    assert rule in message


def test_a_stage_that_is_not_there_cannot_be_skipped():
    where, message = refusal(DeployRequest, skip=["image", "submit"])
    assert where == "skip.1"
    assert "'first_batch'" in message
    assert refusal(DeployRequest, skip=["image"] * (len(DeployStage) + 1))[0] == "skip"


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (DeployRequest, "nigth"),
        (DeployRequest, "executor"),
        (DeployRequest, "image_repository"),
        (DeployRequest, "service_account"),
        (StreamRequest, "rbac_mode"),
        (RbacRequest, "rbacMode"),
        (ImageRequest, "tag"),
    ],
)
def test_a_misspelt_field_or_an_identity_is_refused(model, field):
    assert refusal(model, **{field: "x"}) == (field, "Extra inputs are not permitted")


def test_a_request_cannot_be_changed_after_its_check():
    request = StreamRequest(night="20240101")
    with pytest.raises(ValidationError, match="frozen"):
        request.night = "../20240101"


def test_night_and_topic_are_filled_in_where_empty():
    request = DeployRequest(executors=3).filled_in("20240101")
    assert type(request) is DeployRequest
    assert (request.night, request.topic) == ("20240101", "ztf_public_20240101")
    assert request.executors == 3


def test_night_and_topic_that_were_given_stay():
    request = StreamRequest(night="20240102", topic="mine").filled_in("20240101")
    assert (request.night, request.topic) == ("20240102", "mine")


def test_the_topic_follows_the_night_that_was_given():
    request = StreamRequest(night="20240102").filled_in("20240101")
    assert request.topic == "ztf_public_20240102"


def test_a_survey_without_topics_of_its_own_needs_one():
    with pytest.raises(InvalidRequest, match=r"topic is empty.*name the topic"):
        StreamRequest(survey="lsst").filled_in("20240101")
    assert StreamRequest(survey="lsst", topic="t").filled_in("20240101").topic == "t"


def test_what_is_filled_in_is_checked_too():
    with pytest.raises(ValidationError, match="no date of the calendar"):
        StreamRequest(topic="t").filled_in("20240230")


def test_the_streams_name_is_the_lock_of_survey_and_night():
    one = StreamRequest(night="20240101", topic="a", executors=1)
    same = StreamRequest(night="20240101", topic="b", executors=2)
    other = StreamRequest(night="20240101", survey="lsst", topic="a")
    assert one.stream == same.stream == "stream2raw-ztf-20240101"
    assert other.stream == "stream2raw-lsst-20240101"


@pytest.mark.parametrize("model", [RbacRequest, ImageRequest, StreamRequest, DeployRequest])
def test_every_field_of_the_form_has_title_and_description(model):
    for name, field in model.model_fields.items():
        assert field.title, name
        assert re.fullmatch(r".+\.", field.description), name


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"fink_source": "../secrets"}, "fink_source", "is no relative path"),
        ({"fink_source": "/etc"}, "fink_source", "is no relative path"),
        ({"fink_source": "https://u:p@host/x"}, "fink_source", "is no git address"),
        ({"fink_source": "ext::sh://x"}, "fink_source", "is no git address"),
        ({"fink_source": GIT, "fink_revision": "--force"}, "fink_revision", "branch, tag"),
        ({"fink_source": GIT}, "", "fink_revision is empty; give the branch, tag or commit"),
        ({"fink_source": "fink", "fink_revision": "v4"}, "", "fink_source is no git address"),
        ({"fink_requirements": "all"}, "fink_requirements", "'none', 'noscience' or 'science'"),
        ({"fink_requirements_folder": "../deps"}, "fink_requirements_folder", "no '..'"),
        ({"dockerfile": "/etc"}, "dockerfile", "is no relative path"),
        ({"main_file": "bin/../../x.py", "fink_source": "f"}, "main_file", "is no relative path"),
        ({"main_file": "bin/stream2raw.py"}, "", "main_file is relative; give fink_source"),
        ({"main_file": "/x.py", "fink_source": "f"}, "", "main_file is absolute; give its path in"),
        ({"main_file": "$(id).py", "fink_source": "f"}, "main_file", "should match pattern"),
        ({"image_action": "publish"}, "image_action", "'build-and-push', 'build', 'push'"),
        ({"image_tag": DIGEST}, "", "image_tag is a digest; give a tag, or skip the stage image"),
        ({"image_action": "build"}, "", "leaves nothing that the cluster can pull"),
    ],
)
def test_an_image_that_breaks_a_rule_is_refused_by_the_fields_name(fields, field, rule):
    where, message = refusal(DeployRequest, **fields)
    assert where == field
    assert rule in message


def test_an_image_may_be_built_alone_by_fink_image():
    assert ImageRequest(image_action="build").image_action == "build"
    with pytest.raises(ValidationError, match="image_tag is a digest"):
        ImageRequest(image_tag=DIGEST)


@pytest.mark.parametrize(
    ("form", "stream"),
    [
        ({}, ""),
        ({"survey": "lsst"}, ""),
        ({"night": "20250101"}, "stream2raw-ztf-20250101"),
        ({"night": "20250101", "survey": "lsst"}, "stream2raw-lsst-20250101"),
        ({"stream": "stream2raw-ztf-20250101"}, "stream2raw-ztf-20250101"),
        ({"stream": "stream2raw-ztf-20250101", "night": "20250101"}, "stream2raw-ztf-20250101"),
    ],
)
def test_a_stream_is_asked_for_by_its_name_or_its_night(form, stream):
    assert DiagnoseRequest(**form).asked_stream == stream


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"stream": "spark-operator-controller"}, "stream2raw-<survey>-<night>"),
        ({"stream": "stream2raw-ztf-20250230"}, "no date"),
        ({"stream": "stream2raw-ztf-20250101\n"}, "stream"),
        ({"stream": "stream2raw-ztf-20250101", "night": "20250102"}, "give one of the two"),
        ({"night": "20250230"}, "no date"),
    ],
)
def test_what_is_no_stream_is_refused(form, words):
    with pytest.raises(ValueError, match=words):
        DiagnoseRequest(**form)


def test_finks_own_code_needs_the_schema_of_the_alerts():
    _, message = refusal(DeployRequest, fink_source="fink.tar.gz")
    assert "schema_file is empty, and Fink's own code needs one" in message
    assert ImageRequest(fink_source="fink.tar.gz"), "to build it alone takes none"


@pytest.mark.parametrize("survey", ["lsst", "elasticc"])
def test_a_survey_that_this_project_s_job_does_not_read_is_refused_before_anything_is_built(survey):
    _, message = refusal(DeployRequest, survey=survey, topic="t")
    assert f"survey {survey}: this project's job does not read its alerts" in message

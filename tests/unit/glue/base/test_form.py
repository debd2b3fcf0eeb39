import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException

from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.stream.stream_request import (
    DeployRequest,
    DeployStage,
    RbacMode,
    RbacRequest,
    StreamRequest,
)
from fink_k8s.glue.base.form import form_of, request_from

MODELS = [RbacRequest, ImageRequest, StreamRequest, DeployRequest, NightRequest]


@pytest.fixture(scope="module")
def form():
    return form_of(DeployRequest)


@pytest.mark.parametrize("model", MODELS)
def test_the_form_has_one_parameter_a_field_in_their_order(model):
    assert list(form_of(model)) == list(model.model_fields)


@pytest.mark.parametrize("model", MODELS)
def test_the_forms_defaults_keep_its_own_rules(model):
    ParamsDict(form_of(model)).validate()


@pytest.mark.parametrize("model", MODELS)
def test_a_form_that_is_sent_as_it_is_gives_the_models_defaults(model):
    params = ParamsDict(form_of(model)).dump()
    assert request_from(params, model) == model()


def test_a_number_keeps_its_bounds_and_words(form):
    executors = form["executors"]
    assert executors.value == 1
    schema = executors.schema
    assert (schema["type"], schema["minimum"], schema["maximum"]) == ("integer", 1, 100)
    assert schema["title"] == "Executors"
    assert executors.description == "Number of executor pods."


def test_a_choice_is_written_out(form):
    schema = form["rbac_mode"].schema
    assert form["rbac_mode"].value == "least-privilege"
    assert schema["enum"] == ["least-privilege", "cluster-edit"]
    assert schema["title"] == "Driver rights"


def test_stages_to_skip_are_a_choice_of_several(form):
    schema = form["skip"].schema
    assert form["skip"].value is None
    assert schema["type"] == ["null", "array"]
    assert schema["examples"] == [stage.value for stage in DeployStage]


@pytest.mark.parametrize("name", ["night", "topic", "release", "image_tag", "skip"])
def test_what_may_be_left_empty_is_null(form, name):
    assert form[name].value is None
    assert form[name].schema["type"][0] == "null"


def test_no_reference_is_left_in_the_form(form):
    for name, param in form.items():
        assert "$ref" not in str(param.schema), name


def test_every_default_is_plain_json(form):
    for name, param in form.items():
        assert param.value is None or type(param.value) in {str, int, bool}, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("executors", 0),
        ("executors", 10**6),
        ("executors", "1"),
        ("survey", "atlas"),
        ("night", "2024-1-1"),
        ("topic", ".*"),
        ("driver_memory", "1GB"),
        ("driver_memory", ""),
        ("image_tag", "$(id)"),
        ("skip", ["submit"]),
    ],
)
def test_the_form_itself_refuses_what_breaks_a_rule(name, value):
    params = ParamsDict(form_of(DeployRequest))
    with pytest.raises(Exception, match=f"Invalid input for param {name}"):
        params[name] = value


def test_a_request_comes_of_what_the_form_sends():
    params = {
        "survey": "ztf",
        "night": "20240101",
        "topic": None,
        "executors": 2,
        "driver_memory": "900m",
        "rbac_mode": "cluster-edit",
        "skip": ["image"],
    }
    request = request_from(params, DeployRequest)
    assert request == DeployRequest(
        night="20240101",
        executors=2,
        driver_memory="900m",
        rbac_mode=RbacMode.CLUSTER_EDIT,
        skip=[DeployStage.IMAGE],
    )


def test_a_stage_takes_its_own_fields_of_the_whole_form():
    params = {"night": "20240101", "executors": 2, "rbac_mode": "cluster-edit", "release": "1_2"}
    assert request_from(params, RbacRequest, form=params) == RbacRequest(
        rbac_mode=RbacMode.CLUSTER_EDIT
    )
    assert request_from(params, ImageRequest, form=params) == ImageRequest(release="1_2")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("executors", 0, "greater than or equal to 1"),
        ("night", "20240230", "not a valid date; enter a date of the calendar"),
        ("night", "20240101\n", "at most 8 characters"),
        ("driver_memory", "1GB", "should match pattern"),
        ("image_tag", "host:tag", "enter e.g. 4.0_3.5.7 or sha256:"),
        ("survey", "atlas", "is unknown; use one of ztf, lsst, elasticc"),
    ],
)
def test_what_comes_past_the_form_is_refused_for_good(field, value, words):
    with pytest.raises(AirflowFailException) as caught:
        request_from({field: value}, DeployRequest)
    message = str(caught.value)
    assert message.startswith(f"{field}: ")
    assert words in message
    assert "\n" not in message
    assert "Value error" not in message


def test_a_misspelt_field_past_the_form_is_refused():
    with pytest.raises(AirflowFailException, match="executorss"):
        request_from({"executorss": 2}, DeployRequest)


def test_all_broken_rules_are_told_at_once():
    with pytest.raises(AirflowFailException) as caught:
        request_from({"executors": 0, "night": "20240230", "skip": ["x"]}, DeployRequest)
    fields = [part.partition(": ")[0] for part in str(caught.value).split("; ")]
    assert {"executors", "night", "skip.0"} <= set(fields)


def test_an_installation_s_own_default_is_in_place_of_the_model_s():
    assert form_of(StreamRequest, survey="lsst")["survey"].value == "lsst"
    assert form_of(StreamRequest)["survey"].value == "ztf"

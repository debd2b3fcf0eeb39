import re

import pytest
from pydantic import ValidationError

from fink_k8s.core.base.fields import OrEmpty, Request, refusal_of
from fink_k8s.core.base.names import KubernetesName, NightName
from fink_k8s.core.stream.stream_request import DeployRequest


def test_a_refusal_does_not_show_what_was_sent():
    with pytest.raises(ValidationError) as caught:
        DeployRequest(image_tag="hunter2 hunter2")
    refusal = refusal_of(caught.value)
    assert refusal.startswith("image_tag: ")
    assert "hunter2" not in refusal


def test_a_refusal_of_the_whole_request_is_named_so():
    with pytest.raises(ValidationError) as caught:
        DeployRequest.model_validate("everything")
    assert refusal_of(caught.value).startswith("request: ")


class Asked(Request):
    night: NightName
    other_night: OrEmpty[NightName] = ""
    secret: OrEmpty[KubernetesName] = ""


def test_a_field_may_be_empty_only_where_its_type_says_so():
    asked = Asked(night="20260101", other_night="", secret="")
    assert (asked.other_night, asked.secret) == ("", "")
    with pytest.raises(ValidationError) as caught:
        Asked(night="")
    assert refusal_of(caught.value).startswith("night: String should match pattern")


@pytest.mark.parametrize(
    "night", ["2026", "20260230", "20991231", " ", "\n", "20260101\n", None, 0]
)
def test_what_is_not_empty_obeys_the_rules_of_its_type(night):
    for field in ("night", "other_night"):
        with pytest.raises(ValidationError) as caught:
            Asked.model_validate({"night": "20260101", field: night})
        assert refusal_of(caught.value).startswith(f"{field}: ")


def test_the_form_lets_an_empty_field_pass_where_the_check_does():
    fields = Asked.model_json_schema()["properties"]
    assert fields["night"]["pattern"] == "^[0-9]{8}$"
    assert fields["other_night"]["pattern"] == "^([0-9]{8})?$"
    assert fields["other_night"]["maxLength"] == 8
    assert re.search(fields["other_night"]["pattern"], "")
    assert "pattern" not in fields["secret"]

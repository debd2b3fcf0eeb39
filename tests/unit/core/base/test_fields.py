import pytest
from pydantic import ValidationError

from fink_k8s.core.base.fields import refusal_of
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

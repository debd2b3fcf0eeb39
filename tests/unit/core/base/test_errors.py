import pytest

from fink_k8s.core.base.errors import (
    Conflict,
    FinkError,
    InvalidRequest,
    NotPermitted,
    Refused,
    StreamFailed,
    Unavailable,
)
from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_from


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (FinkError, False),
        (InvalidRequest, False),
        (Refused, False),
        (NotPermitted, False),
        (Conflict, False),
        (StreamFailed, False),
        (Unavailable, True),
    ],
)
def test_only_an_unavailable_system_is_tried_again(error, retryable):
    assert error("it is so").retryable is retryable
    assert issubclass(error, FinkError)


def test_one_error_may_overrule_its_class():
    assert Refused("a driver still lives", retryable=True).retryable is True
    assert Unavailable("it will never answer", retryable=False).retryable is False


def test_the_message_is_one_line():
    error = Unavailable("the store\n  does not answer;\r\n\ttry again ")
    assert str(error) == "the store does not answer; try again"


def test_an_errors_line_names_its_diagnosis():
    diagnosis = Diagnosis(Category.QUOTA, "the quota is used up", "exceeded quota", "ask for less")
    assert diagnosis_from(str(StreamFailed(str(diagnosis)))) == diagnosis
    assert diagnosis_from(str(StreamFailed("no cause known"))) is None


def test_pydantics_validators_may_raise_an_invalid_request():
    assert issubclass(InvalidRequest, ValueError)

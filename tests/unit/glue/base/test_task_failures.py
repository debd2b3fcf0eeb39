import logging

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from fink_k8s.core.base.errors import (
    Conflict,
    InvalidRequest,
    NotPermitted,
    Refused,
    StreamFailed,
    Unavailable,
)
from fink_k8s.glue.base.task_failures import airflow_failures, check_outcome, failure_of


@pytest.mark.parametrize("error", [InvalidRequest, Refused, NotPermitted, Conflict, StreamFailed])
def test_a_lasting_error_fails_the_task_for_good(error):
    with pytest.raises(AirflowFailException, match=r"^it is so$") as caught, airflow_failures():
        raise error("it is so")
    assert type(caught.value.__cause__) is error


@pytest.mark.parametrize("error", [Unavailable("busy"), Refused("busy", retryable=True)])
def test_a_passing_error_lets_the_task_be_tried_again(error):
    with pytest.raises(AirflowException, match=r"^busy$") as caught, airflow_failures():
        raise error
    assert not isinstance(caught.value, AirflowFailException)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("a fault"), AirflowFailException("by Airflow")])
def test_an_error_of_other_hands_is_left_as_it_is(error):
    with pytest.raises(type(error)) as caught, airflow_failures():
        raise error
    assert caught.value is error


def test_without_an_error_nothing_happens():
    with airflow_failures():
        done = True
    assert done


@pytest.mark.parametrize("retryable", [True, False])
def test_the_message_is_a_line_of_the_log(caplog, retryable):
    with caplog.at_level(logging.ERROR):
        failure_of("100 % of it failed", retryable=retryable)
    assert [record.getMessage() for record in caplog.records] == ["100 % of it failed"]


def test_a_goal_that_is_reached_gives_its_reason():
    event = {"reached": True, "reason": "driver Running", "retryable": False}
    assert check_outcome(event) == "driver Running"


@pytest.mark.parametrize("retryable", [True, False])
def test_a_goal_that_is_missed_fails_with_its_reason(retryable):
    event = {"reached": False, "reason": "[quota] used up", "retryable": retryable}
    with pytest.raises(AirflowException, match=r"^\[quota\] used up$") as caught:
        check_outcome(event)
    assert isinstance(caught.value, AirflowFailException) is not retryable

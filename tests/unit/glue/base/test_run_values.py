"""The form's values and other tasks' results reach a task as what they are."""

from types import SimpleNamespace

import pytest
from airflow.sdk import BaseOperator

from fink_k8s.glue.base.run_values import RunValue, form_seconds, form_value, result_of


class Taker(BaseOperator):
    template_fields = ("value",)

    def __init__(self, *, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value


def taken(value, params=None, **results):
    """Return what a task has in its templated field once Airflow has rendered it."""
    ti = SimpleNamespace(xcom_pull=lambda task_ids: results.get(task_ids))
    task = Taker(value=value, task_id="take")
    task.render_template_fields({"params": params or {}, "ti": ti})
    return task.value


@pytest.mark.parametrize("value", [3, 0, True, False, "20260101", "007", ["a"], {"a": 1}])
def test_a_value_of_the_form_keeps_its_type(value):
    assert taken(form_value("field", "other"), {"field": value}) == value
    assert type(taken(form_value("field"), {"field": value})) is type(value)


@pytest.mark.parametrize("params", [{}, {"field": None}])
def test_an_empty_field_has_the_default(params):
    assert taken(form_value("field", "other"), params) == "other"
    assert taken(form_value("field"), params) is None


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({}, 300), ({"field": None}, 300), ({"field": 0}, 0), ({"field": 0.1}, 6)],
)
def test_minutes_of_the_form_are_taken_as_whole_seconds(given, seconds):
    value = taken(form_seconds("field", 5), given)
    assert (value, type(value)) == (seconds, int)
    assert str(form_seconds("field", 5)) == "form: field"


def test_a_value_may_stand_inside_of_a_field():
    manner = {"limit_s": form_value("limit", 300), "then_at_once": True}
    assert taken(manner, {"limit": 60}) == {"limit_s": 60, "then_at_once": True}


def test_a_result_or_a_part_of_it_is_taken():
    made = {"metadata": {"name": "s"}}
    assert taken(result_of("make"), make=made) == made
    assert taken(result_of("make", "metadata", "name"), make=made) == "s"
    assert taken(result_of("make")) is None


def test_what_a_stranger_wrote_into_a_value_is_no_template():
    assert taken(form_value("field"), {"field": "{{ 1 + 1 }}"}) == "{{ 1 + 1 }}"
    assert taken(result_of("make"), make=["{{ 1 + 1 }}"]) == ["{{ 1 + 1 }}"]


def test_before_it_is_taken_airflow_shows_where_it_comes_from():
    assert str(form_value("field")) == "form: field"
    assert str(result_of("make", "name")) == "make.name"
    assert str(RunValue("the hour", lambda context: 7)) == "the hour"

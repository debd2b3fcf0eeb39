"""What a task takes from the form and from other tasks comes as a value, and not as text."""

from datetime import UTC, datetime

import pytest

from fink_k8s.core.stop.stop_request import StopManner
from fink_k8s.core.stream.stream_request import IfDiffers

MANIFEST = {"metadata": {"name": "stream2raw-ztf-20260101", "namespace": "spark"}}
END = "2026-01-02T13:00:00+00:00"


class Run:
    """A run of the night with the form as it opens, and what its tasks have returned."""

    start_date = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __init__(self, dag, **results):
        self.dag = dag
        self.results = {
            "plan_night": {"end": END, "stream": MANIFEST["metadata"]["name"]},
            "submit.render_application": {"return_value": MANIFEST},
            "submit.submit_application": {"return_value": {"way": "adopted"}},
            **results,
        }

    def xcom_pull(self, task_ids, key="return_value", default=None, map_indexes=None):
        if isinstance(task_ids, list):
            return [self.xcom_pull(one) for one in task_ids]
        return self.results.get(task_ids, {}).get(key, default)

    def taken(self, task_id, field):
        """Return what a task has in `field` when it starts."""
        task = self.dag.get_task(task_id)
        context = {"ti": self, "params": self.dag.params.dump()}
        return task.render_template(getattr(task, field), context)


@pytest.fixture
def run(bag):
    return Run(bag.dags["fink_night_ztf"])


def strings_in(value):
    if isinstance(value, str):
        yield value
    for part in (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    ):
        yield from strings_in(part)


def test_no_task_takes_the_text_of_a_template_for_a_value(bag):
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    assert len(tasks) > 30
    for task in tasks:
        given = [getattr(task, field, None) for field in task.template_fields]
        assert not any("{{" in text for text in strings_in(given)), task


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("manifest", MANIFEST),
        ("until", END),
        ("release", ""),
        ("submit_with", "spark-operator"),
        ("restarts", 3),
        ("when_killed", "leave"),
    ],
)
def test_the_watch_takes_the_form_and_the_application(run, field, expected):
    assert run.taken("watch_until_end", field) == expected


def test_the_drain_takes_its_seconds_as_numbers(run):
    assert run.taken("drain_late_alerts", "quiet_s") == 300
    assert run.taken("drain_late_alerts", "grace_s") == 1800


@pytest.mark.parametrize("task_id", ["stop_stream", "submit.end_other_spec"])
def test_a_stop_takes_its_limit_as_a_number(run, task_id):
    manner = run.taken(task_id, "manner")
    assert manner == {"limit_s": 300, "then_at_once": True}
    assert StopManner.model_validate(manner, strict=True).limit_s == 300
    assert run.taken(task_id, "stream") == MANIFEST["metadata"]["name"]


@pytest.mark.parametrize(
    "task_id", ["submit.end_other_spec", "submit.submit_application", "submit.spark_submit"]
)
def test_what_submits_knows_what_to_do_with_a_stream_that_runs_otherwise(run, task_id):
    assert run.taken(task_id, "if_differs") == IfDiffers.REFUSE


@pytest.mark.parametrize(
    ("submitted", "adopted"),
    [
        ({"submit.submit_application": {"return_value": {"way": "adopted"}}}, True),
        ({"submit.submit_application": {"return_value": {"way": "created"}}}, False),
        ({"submit.submit_application": {}}, False),
        (
            {
                "submit.submit_application": {},
                "submit.spark_submit": {"return_value": {"way": "adopted"}},
            },
            True,
        ),
    ],
)
def test_the_proof_takes_truth_values(bag, submitted, adopted):
    taken = Run(bag.dags["fink_night_ztf"], **submitted).taken("verify_night", "op_kwargs")
    assert taken["adopted"] is adopted
    assert taken["require_proof"] is True

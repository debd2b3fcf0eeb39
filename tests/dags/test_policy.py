"""What holds for every DAG: integrity, documentation, limits, forms."""

import ast
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from docs.generate import ROOT
from fink_k8s.core.config.surveys import load_surveys
from fink_k8s.core.health.health_request import HealthRequest
from fink_k8s.core.image import image_request
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.stop.stop_request import StopRequest
from fink_k8s.core.stream import stream_request
from fink_k8s.glue.base.dag_defaults import Tag
from fink_k8s.glue.base.form import request_from
from fink_k8s.glue.night.night_form import night_dag_id

FILES = sorted((ROOT / "dags").glob("*.py"))
# The night DAGs come from one file, one for each survey.
NIGHT_DAGS = [night_dag_id(name) for name in load_surveys().names]
DAG_IDS = sorted({file.stem for file in FILES} - {"fink_night"} | {*NIGHT_DAGS})
HEADINGS = ("**When to run it:**", "**Safe to repeat:**", "**Success:**", "**If it fails:**")
REQUESTS = {
    "fink_deploy": stream_request.DeployRequest,
    "fink_rbac": stream_request.RbacRequest,
    "fink_image": image_request.ImageRequest,
    "fink_diagnose": stream_request.DiagnoseRequest,
    "fink_stop": StopRequest,
    **dict.fromkeys(NIGHT_DAGS, NightRequest),
    "fink_health": HealthRequest,
}
# A teardown's state is not the run's: neither who diagnoses a failure nor who reports an incomplete
# night may turn it green. The first speaks after a failure only, the others of whatever came of it.
TEARDOWNS = {
    "diagnose_failure": TriggerRule.ONE_FAILED,
    "report_night": TriggerRule.ONE_DONE,
    "stop.report": TriggerRule.ALL_DONE,
    "stop.diagnose_left": TriggerRule.ALL_DONE,
}
# What ends something must be named: an empty form is refused, with the fields to fill in.
REFUSED_WHEN_EMPTY = {"fink_stop": "enter streams, or night"}


@pytest.fixture(params=DAG_IDS)
def dag(request, bag):
    return bag.dags[request.param]


def test_every_file_gives_exactly_the_dag_of_its_name_or_one_for_each_survey(bag):
    assert bag.import_errors == {}
    assert sorted(bag.dags) == DAG_IDS


def test_documentation_answers_what_a_person_asks(dag):
    assert dag.doc_md.strip().startswith("### ")
    for heading in HEADINGS:
        assert heading in dag.doc_md


def test_the_list_of_dags_says_in_a_line_what_each_is_for(dag):
    assert 20 < len(dag.description) <= 90
    assert "\n" not in dag.description
    assert not dag.description.endswith(".")


def test_tags_are_of_the_closed_set(dag):
    assert dag.tags
    assert dag.tags <= set(Tag)


def test_runs_do_not_overlap_and_nothing_is_caught_up(dag):
    # A night takes a day, and must not hold up another one; the stream's name is its lock.
    assert dag.max_active_runs == (8 if dag.dag_id in NIGHT_DAGS else 1)
    assert dag.catchup is False


def test_every_task_has_a_limit_an_owner_and_the_rule_that_lets_stages_be_skipped(dag):
    for task in dag.tasks:
        assert task.execution_timeout, task.task_id
        assert task.owner == "fink"
        rule = TEARDOWNS[task.task_id] if task.is_teardown else TriggerRule.NONE_FAILED
        assert task.trigger_rule == rule


def test_every_field_of_the_form_is_explained(dag):
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema["title"], name
        assert dag.params.get_param(name).description, name


def test_the_form_can_be_sent_as_it_opens_or_says_what_it_lacks(dag):
    if dag.dag_id in NIGHT_DAGS and dag.schedule is None:
        # Its survey has no topic for each night: the form marks the field that has to be filled in.
        with pytest.raises(ParamValidationError, match="param topic"):
            dag.params.validate()
        return
    dag.params.validate()
    if words := REFUSED_WHEN_EMPTY.get(dag.dag_id):
        with pytest.raises(AirflowFailException, match=words):
            request_from(dag.params.dump(), REQUESTS[dag.dag_id])
        return
    request = request_from(dag.params.dump(), REQUESTS[dag.dag_id])
    assert request == REQUESTS[dag.dag_id]()


def test_it_survives_the_database(dag):
    from airflow.serialization.serialized_objects import DagSerialization

    data = DagSerialization.to_dict(dag)
    assert DagSerialization.from_dict(data).task_dict.keys() == dag.task_dict.keys()


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_dag_file_is_a_table_of_contents(file):
    tree = ast.parse(file.read_text())
    # The one loop there may be is that of a DAG for each survey.
    loops = [node for node in tree.body if isinstance(node, ast.For)]
    for loop in loops:
        assert ast.unparse(loop.iter) == "load_surveys().surveys"
        tree.body.remove(loop)
        tree.body += loop.body
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [one.name for one in functions] == [file.stem]
    body = functions[0].body[1:]
    assert len(body) <= 10
    assert not any(isinstance(node, ast.If | ast.For | ast.Try) for node in ast.walk(tree))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
             for alias in node.names} | {node.module for node in ast.walk(tree)
                                         if isinstance(node, ast.ImportFrom)}  # fmt: skip
    assert not any("adapters" in name for name in names)


def test_fink_deploy_is_the_chain_that_its_page_promises(bag):
    """Tasks side by side are two ways of the same step."""
    order = [
        {"check_prerequisites"},
        {"rbac.grant_rights"},
        {"rbac.check_rights"},
        {"prepare_store"},
        {"image.fetch_spark"},
        {"image.build_image"},
        {"submit.render_application"},
        {"submit.submit_application", "submit.spark_submit"},
        {"wait_until_healthy"},
        {"wait_for_first_batch"},
        {"diagnose_failure"},
    ]
    tasks = bag.dags["fink_deploy"].task_dict
    assert set().union(*order) == set(tasks)
    for before, after in pairwise(order):
        for task in after:
            assert before <= tasks[task].upstream_task_ids


@pytest.mark.parametrize("way", [None, *stream_request.SubmitWith])
def test_of_the_ways_to_submit_only_the_one_that_is_asked_for_runs(bag, way):
    from airflow.sdk.exceptions import AirflowSkipException

    tasks = {
        stream_request.SubmitWith.SPARK_OPERATOR: "submit.submit_application",
        stream_request.SubmitWith.SPARK_SUBMIT: "submit.spark_submit",
    }
    ran = []
    for one, task_id in tasks.items():
        try:
            bag.dags["fink_deploy"].get_task(task_id)._pre_execute_hook(
                {"params": {"submit_with": way}}
            )
            ran.append(one)
        except AirflowSkipException:
            continue
    assert ran == [way or stream_request.SubmitWith.SPARK_OPERATOR]


def test_fink_night_is_the_chain_that_its_page_promises(bag):
    order = [
        {"plan_night"},
        {"check_prerequisites"},
        {"submit.render_application"},
        {"submit.end_other_spec"},
        {"submit.submit_application", "submit.spark_submit"},
        {"wait_until_healthy"},
        {"watch_until_end"},
        {"drain_late_alerts"},
        {"stop_stream"},
        {"verify_night"},
        {"report_night", "diagnose_failure"},
    ]
    tasks = bag.dags["fink_night_ztf"].task_dict
    assert set().union(*order) == set(tasks)
    for before, after in pairwise(order):
        for task in after:
            assert before <= tasks[task].upstream_task_ids


def test_a_night_waits_for_what_may_pass_before_anybody_is_called(bag):
    """Only what counts and tells has its own patience."""
    for task in bag.dags["fink_night_ztf"].tasks:
        if task.task_id in {"verify_night", "report_night", "diagnose_failure"}:
            continue
        assert (task.retries, task.retry_exponential_backoff) == (30, 2)
        assert task.max_retry_delay == timedelta(minutes=1)


@pytest.mark.parametrize("told", [None, {"ended_at": "2026-01-01T20:00:00+00:00"}])
def test_a_watch_that_somebody_marks_as_done_ends_the_night_now(bag, told):
    """Such a task has told nothing."""
    drain = bag.dags["fink_night_ztf"].get_task("drain_late_alerts")
    begun = datetime(2026, 1, 1, 12, tzinfo=UTC)
    ti = SimpleNamespace(xcom_pull=lambda task_ids: told, start_date=begun)
    until = datetime.fromisoformat(drain.render_template(drain.until, {"ti": ti}))
    assert until == (datetime.fromisoformat(told["ended_at"]) if told else begun)


def test_fink_stop_is_the_chain_that_its_page_promises(bag):
    order = [task.task_id for task in bag.dags["fink_stop"].topological_sort()]
    assert order[:2] == ["stop.find_streams", "stop.stop_stream"]
    assert set(order[2:]) == {"stop.report", "stop.diagnose_left"}


def test_the_diagnosis_of_a_failed_run_leaves_it_failed(bag):
    task = bag.dags["fink_deploy"].get_task("diagnose_failure")
    assert task.is_teardown
    assert not task.on_failure_fail_dagrun
    assert task.retries == 0


@pytest.mark.parametrize("stage", [*stream_request.DeployStage])
def test_each_stage_can_be_skipped_from_the_form(bag, stage):
    from airflow.sdk.exceptions import AirflowSkipException

    skipped = set()
    for task in bag.dags["fink_deploy"].tasks:
        try:
            if task._pre_execute_hook and not task.task_id.startswith("submit."):
                task._pre_execute_hook({"params": {"skip": [stage]}})
        except AirflowSkipException:
            skipped.add(task.task_id.partition(".")[0])
    expected = {
        stream_request.DeployStage.PREFLIGHT: "check_prerequisites",
        stream_request.DeployStage.STORE: "prepare_store",
        stream_request.DeployStage.HEALTHY: "wait_until_healthy",
        stream_request.DeployStage.FIRST_BATCH: "wait_for_first_batch",
    }
    assert skipped == {expected.get(stage, stage.value)}

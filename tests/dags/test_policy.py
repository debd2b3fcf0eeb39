"""What holds for every DAG: integrity, documentation, limits, forms."""

import ast
from itertools import pairwise

import pytest
from airflow.sdk import TriggerRule

from docs.generate import ROOT
from fink_k8s.core import requests
from fink_k8s.glue.defaults import Tag
from fink_k8s.glue.form import request_from

FILES = sorted((ROOT / "dags").glob("*.py"))
DAG_IDS = [file.stem for file in FILES]
HEADINGS = ("**When to run it:**", "**Safe to repeat:**", "**Success:**", "**If it fails:**")
REQUESTS = {
    "fink_deploy": requests.DeployRequest,
    "fink_rbac": requests.RbacRequest,
    "fink_image": requests.ImageRequest,
    "fink_diagnose": requests.DiagnoseRequest,
}


@pytest.fixture(params=DAG_IDS)
def dag(request, bag):
    return bag.dags[request.param]


def test_every_file_gives_exactly_the_dag_of_its_name(bag):
    assert bag.import_errors == {}
    assert sorted(bag.dags) == DAG_IDS


def test_documentation_answers_what_a_person_asks(dag):
    assert dag.doc_md.strip().startswith("### ")
    for heading in HEADINGS:
        assert heading in dag.doc_md


def test_tags_are_of_the_closed_set(dag):
    assert dag.tags
    assert dag.tags <= set(Tag)


def test_runs_do_not_overlap_and_nothing_is_caught_up(dag):
    assert dag.max_active_runs == 1
    assert dag.catchup is False


def test_every_task_has_a_limit_an_owner_and_the_rule_that_lets_stages_be_skipped(dag):
    for task in dag.tasks:
        assert task.execution_timeout, task.task_id
        assert task.owner == "fink"
        # A teardown's state is not the run's: what diagnoses a failure must not turn it green.
        rule = TriggerRule.ONE_FAILED if task.is_teardown else TriggerRule.NONE_FAILED
        assert task.trigger_rule == rule


def test_every_field_of_the_form_is_explained(dag):
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema["title"], name
        assert dag.params.get_param(name).description, name


def test_the_form_can_be_sent_as_it_opens(dag):
    dag.params.validate()
    request = request_from(dag.params.dump(), REQUESTS[dag.dag_id])
    assert request == REQUESTS[dag.dag_id]()


def test_it_survives_the_database(dag):
    from airflow.serialization.serialized_objects import DagSerialization

    data = DagSerialization.to_dict(dag)
    assert DagSerialization.from_dict(data).task_dict.keys() == dag.task_dict.keys()


@pytest.mark.parametrize("file", FILES, ids=DAG_IDS)
def test_a_dag_file_is_a_table_of_contents(file):
    tree = ast.parse(file.read_text())
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
    order = [task.task_id for task in bag.dags["fink_deploy"].topological_sort()]
    assert order == [
        "check_prerequisites",
        "rbac.grant_rights",
        "rbac.check_rights",
        "image.fetch_spark",
        "image.build_image",
        "submit.render_application",
        "submit.submit_application",
        "wait_until_healthy",
        "wait_for_first_batch",
        "diagnose_failure",
    ]
    for before, after in pairwise(order):
        assert before in bag.dags["fink_deploy"].get_task(after).upstream_task_ids


def test_the_diagnosis_of_a_failed_run_leaves_it_failed(bag):
    task = bag.dags["fink_deploy"].get_task("diagnose_failure")
    assert task.is_teardown
    assert not task.on_failure_fail_dagrun
    assert task.retries == 0


@pytest.mark.parametrize("stage", [*requests.Stage])
def test_each_stage_can_be_skipped_from_the_form(bag, stage):
    from airflow.sdk.exceptions import AirflowSkipException

    skipped = set()
    for task in bag.dags["fink_deploy"].tasks:
        try:
            if task._pre_execute_hook:
                task._pre_execute_hook({"params": {"skip": [stage]}})
        except AirflowSkipException:
            skipped.add(task.task_id.partition(".")[0])
    expected = {
        requests.Stage.PREFLIGHT: "check_prerequisites",
        requests.Stage.HEALTHY: "wait_until_healthy",
        requests.Stage.FIRST_BATCH: "wait_for_first_batch",
    }
    assert skipped == {expected.get(stage, stage.value)}

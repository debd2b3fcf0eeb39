"""The stage `report`: write the report that people read the next morning."""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import TriggerRule, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.core.night.night_report import night_report_of, sentence_of
from fink_k8s.glue.base.connections import store
from fink_k8s.glue.base.links import NightReportLink, night_report_path
from fink_k8s.glue.base.run_values import RunValue
from fink_k8s.glue.base.steps import step
from fink_k8s.glue.night.proof_stage import FACTS


def report_night(verified: Any) -> Any:
    """Return the task that reports the result of `verify_night`, complete or not.

    It is a teardown, because a run's state is that of its last tasks: the report of an incomplete
    night must not turn the run green. If the night was never verified, there is nothing to report,
    and the task is skipped; the diagnosis covers that case. Place both directly after `verified`:
    a diagnosis after this task would not see the failure.
    """
    task = verified.operator.task_id
    reported = report(stream=RunValue("stream", partial(_stream_of, task)), verified=task)
    reported.operator.as_teardown()
    # A teardown's default rule would also start it if the night was never verified.
    reported.operator.trigger_rule = TriggerRule.ONE_DONE
    reported.operator.operator_extra_links = (NightReportLink(),)
    verified >> reported
    return reported


def _stream_of(task: str, context: Any) -> str:
    return str((context["ti"].xcom_pull(task_ids=task, key=FACTS) or {}).get("stream", ""))


@step(
    task_id="report_night",
    retries=3,
    execution_timeout=timedelta(minutes=5),
    multiple_outputs=False,
)
def report(stream: str, verified: str) -> dict[str, Any]:
    """Write the night's report to the store of the installation, and print it to the log."""
    from fink_k8s.adapters.store.archive import keep_report

    told = get_current_context()["ti"].xcom_pull(task_ids=verified, key=FACTS)
    if not told:
        raise AirflowSkipException(f"{verified} recorded no facts about the night; see its log")
    facts = NightFacts.model_validate(told)
    print(night_report_of(facts))
    settings = load_settings()
    address = keep_report(facts, settings, partial(store, settings))
    sentence = sentence_of(facts)
    print(f"report: {address}, or {night_report_path(stream)} in the Airflow UI")
    # People read the last line.
    print(sentence)
    return {"sentence": sentence, "verified": facts.is_verified, "address": address}

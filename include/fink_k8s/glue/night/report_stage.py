"""The stage `report`: what a person wants to know of the night in the morning, written down."""

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
from fink_k8s.glue.base.steps import step
from fink_k8s.glue.night.proof_stage import FACTS


def report_night(verified: Any) -> Any:
    """Return the task that reports what `verify_night` found, be the night complete or not.

    It is a teardown, since a run's state is that of its last tasks: the report of an incomplete
    night must not turn the run green. Where the night did not come to its verification there is
    nothing to report, and it is skipped; the diagnosis speaks then. Let the two hang on
    `verified` side by side: behind this task no diagnosis would see the failure.
    """
    task = verified.operator.task_id
    facts = f"ti.xcom_pull(task_ids='{task}', key='{FACTS}')"
    reported = report(stream=f"{{{{ ({facts} or {{}}).get('stream', '') }}}}", verified=task)
    reported.operator.as_teardown()
    # A teardown's own rule would start it where the night was never verified as well.
    reported.operator.trigger_rule = TriggerRule.ONE_DONE
    reported.operator.operator_extra_links = (NightReportLink(),)
    verified >> reported
    return reported


@step(
    task_id="report_night",
    retries=3,
    execution_timeout=timedelta(minutes=5),
    multiple_outputs=False,
)
def report(stream: str, verified: str) -> dict[str, Any]:
    """Write the report of the night beside its alerts, and show it in the log."""
    from fink_k8s.adapters.store.archive import keep_report

    told = get_current_context()["ti"].xcom_pull(task_ids=verified, key=FACTS)
    if not told:
        raise AirflowSkipException(f"{verified} found out nothing of the night; see its log")
    facts = NightFacts.model_validate(told)
    print(night_report_of(facts))
    settings = load_settings()
    address = keep_report(facts, settings, partial(store, settings))
    sentence = sentence_of(facts)
    print(f"report: {address}, or {night_report_path(stream)} in Airflow's own pages")
    # People read the last line.
    print(sentence)
    return {"sentence": sentence, "verified": facts.is_verified, "address": address}

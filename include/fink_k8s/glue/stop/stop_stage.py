"""The stage `stop`: stop streams, and confirm that they are gone."""

from typing import Any

from airflow.sdk import TriggerRule, task_group
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.stop.stop_request import StopRequest
from fink_k8s.glue.base.connections import cluster
from fink_k8s.glue.base.steps import request_of, step
from fink_k8s.glue.diagnosis.diagnose_stage import DIAGNOSIS_LIMIT, Result, diagnose_stream
from fink_k8s.glue.health.health_notes import HEALTH
from fink_k8s.glue.stop.stop_operator import StopStreamOperator

_NOT_CHOSEN = "no stream was chosen; see the log of find_streams"


@task_group(group_id="stop")
def stop_streams() -> None:
    """Find the streams that the form chooses, stop each, and report each outcome."""
    chosen = find_streams()
    stopped = StopStreamOperator.partial(
        task_id="stop_stream", map_index_template="{{ task.stream }}", inlets=[HEALTH]
    ).expand_kwargs(chosen)
    for last in (report(chosen, stopped.output), diagnose_left(chosen, stopped.output)):
        # If a stream did not end, the others are still reported, and the run fails.
        last.operator.as_teardown()
        last.operator.trigger_rule = TriggerRule.ALL_DONE


@step()
def find_streams() -> list[dict[str, Any]]:
    """Return each chosen stream and how to stop it; none for a dry run."""
    from fink_k8s.adapters.stop.stop_pursuit import streams_in

    request = request_of(StopRequest)
    namespace = load_settings().namespace
    there = streams_in(cluster(), namespace)
    chosen = request.chosen(list(there))
    for stream in chosen:
        print(f"{stream}: {there.get(stream, 'does not exist')}")
    if not chosen:
        print(f"nothing to stop: namespace {namespace} has none of the chosen streams; it has: "
              f"{', '.join(there) or 'none'}")  # fmt: skip
    if request.dry_run:
        print(f"dry_run is set: {len(chosen)} streams would be stopped; nothing was changed")
        return []
    manner = request.manner.model_dump(mode="json")
    return [{"stream": stream, "manner": manner} for stream in chosen]


@step()
def report(chosen: list[dict[str, Any]] | None, outcomes: Any) -> list[str]:
    """Report the outcome of each stream, one line each."""
    if chosen is None:
        raise AirflowSkipException(_NOT_CHOSEN)
    lines = [
        f"{name}: NOT ended; see its task's log" if line is None else line
        for name, line in _what_came_of(chosen, outcomes).items()
    ]
    for line in lines or ["there was nothing to stop"]:
        print(line)
    return lines


@step(retries=0, execution_timeout=DIAGNOSIS_LIMIT)
def diagnose_left(chosen: list[dict[str, Any]] | None, outcomes: Any) -> list[Result]:
    """Diagnose each stream that did not end; skip if all ended."""
    left = [name for name, line in _what_came_of(chosen or [], outcomes).items() if line is None]
    if not left:
        raise AirflowSkipException(_NOT_CHOSEN if chosen is None else "all streams have ended")
    return [diagnose_stream(stream, patience=0) for stream in left]


def _what_came_of(chosen: list[dict[str, Any]], outcomes: Any) -> dict[str, str | None]:
    """Return the line of each chosen stream; None if it did not end."""
    ended = {outcome["stream"]: outcome["line"] for outcome in outcomes or ()}
    return {one["stream"]: ended.get(one["stream"]) for one in chosen}

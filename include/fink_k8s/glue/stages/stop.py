"""The stage `stop`: streams are ended, and seen to be gone."""

from typing import Any

from airflow.sdk import TriggerRule, task_group
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core.settings import load_settings
from fink_k8s.core.stop_request import StopRequest
from fink_k8s.glue.connections import cluster
from fink_k8s.glue.health_notes import HEALTH
from fink_k8s.glue.steps import request_of, step
from fink_k8s.glue.stop_operator import StopStreamOperator


@task_group(group_id="stop")
def stop_streams() -> None:
    """Find the streams that the form means, stop each, and say what came of each."""
    chosen = find_streams()
    stopped = StopStreamOperator.partial(
        task_id="stop_stream", map_index_template="{{ task.stream }}", inlets=[HEALTH]
    ).expand_kwargs(chosen)
    reported = report(chosen, stopped.output)
    # Where one of them did not end, the others are told all the same, and the run has failed.
    reported.operator.as_teardown()
    reported.operator.trigger_rule = TriggerRule.ALL_DONE


@step()
def find_streams() -> list[dict[str, Any]]:
    """Return each stream that the form means, and how to stop it; none where it only looks."""
    from fink_k8s.adapters.stopping import streams_in

    request = request_of(StopRequest)
    namespace = load_settings().namespace
    there = streams_in(cluster(), namespace)
    chosen = request.chosen(list(there))
    for stream in chosen:
        print(f"{stream}: {there.get(stream, 'nothing')}")
    if not chosen:
        print(f"no such stream is in namespace {namespace}, already so; there are: "
              f"{', '.join(there) or 'none'}")  # fmt: skip
    if request.dry_run:
        print(f"dry_run is set: {len(chosen)} streams would be stopped, none was")
        return []
    manner = request.manner.model_dump(mode="json")
    return [{"stream": stream, "manner": manner} for stream in chosen]


@step()
def report(chosen: list[dict[str, Any]] | None, outcomes: Any) -> list[str]:
    """Say what came of each stream, a line each."""
    if chosen is None:
        raise AirflowSkipException("no stream was chosen; the log of find_streams says why")
    ended = {outcome["stream"]: outcome["line"] for outcome in outcomes or ()}
    names = [one["stream"] for one in chosen]
    lines = [ended.get(name) or f"{name}: NOT ended; its task's log says why" for name in names]
    for line in lines or ["nothing was to be stopped"]:
        print(line)
    return lines

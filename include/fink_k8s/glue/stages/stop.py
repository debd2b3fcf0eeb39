"""The stage `stop`: streams are ended, and seen to be gone."""

from typing import Any

from airflow.sdk import task_group

from fink_k8s.core.settings import load_settings
from fink_k8s.core.stop_request import StopRequest
from fink_k8s.glue.connections import cluster
from fink_k8s.glue.health_notes import HEALTH
from fink_k8s.glue.steps import request_of, step
from fink_k8s.glue.stop_operator import StopStreamOperator


@task_group(group_id="stop")
def stop_streams() -> None:
    """Find the streams that the form means, stop each, and say what came of each."""
    stopped = StopStreamOperator.partial(
        task_id="stop_stream", map_index_template="{{ task.stream }}", inlets=[HEALTH]
    ).expand_kwargs(find_streams())
    report(stopped.output)


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
def report(outcomes: Any) -> list[str]:
    """Say what came of each stream, a line each."""
    lines = [outcome["line"] for outcome in outcomes or ()]
    for line in lines or ["nothing was to be stopped"]:
        print(line)
    return lines

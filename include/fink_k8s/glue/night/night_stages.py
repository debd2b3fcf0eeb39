"""The stages specific to a night: its plan, submission or adoption, the watch, the drain."""

from typing import Any

from airflow.sdk import task_group

from fink_k8s.adapters.stream.streams import Way
from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.stream.stream_request import IfDiffers
from fink_k8s.glue.base.run_values import RunValue, form_seconds, form_value
from fink_k8s.glue.base.steps import step
from fink_k8s.glue.config.run_request import night_of_run, stream_request
from fink_k8s.glue.night.drain_operator import DrainNightOperator
from fink_k8s.glue.night.proof_stage import verify_night
from fink_k8s.glue.night.report_stage import report_night
from fink_k8s.glue.night.upgrade_operator import EndOtherSpecOperator
from fink_k8s.glue.night.watch_operator import WatchNightOperator
from fink_k8s.glue.stop.stop_operator import StopStreamOperator
from fink_k8s.glue.stream.submit_stage import (
    APPLICATION,
    STREAM,
    render_application,
    ways_to_submit,
)

_MANNER = {"limit_s": form_seconds("last_batch_minutes", 5), "then_at_once": True}
_IF_DIFFERS = form_value("if_differs", IfDiffers.REFUSE)


def _was_adopted(context: Any) -> bool:
    ways = context["ti"].xcom_pull(task_ids=["submit.submit_application", "submit.spark_submit"])
    return any(one["way"] == Way.ADOPTED for one in ways if one)


def _when_watch_ended(context: Any) -> str:
    """Return when the watch ended; marking the watch as done ends the night at that time."""
    watched = context["ti"].xcom_pull(task_ids="watch_until_end") or {}
    return watched.get("ended_at") or context["ti"].start_date.isoformat()


@step()
def plan_night() -> dict[str, str]:
    """Determine which night it is, and when it begins and ends."""
    request = stream_request(NightRequest)
    night = night_of_run(request.survey)
    end = request.end(night.end)
    print(f"{request.survey} night {night.name}: {night.start:%Y-%m-%d %H:%M} to "
          f"{end:%Y-%m-%d %H:%M} UTC, topic {request.topic}, stream {request.stream}")  # fmt: skip
    return {
        "survey": request.survey,
        "night": night.name,
        "stream": request.stream,
        "topic": request.topic,
        "start": night.start.isoformat(),
        "end": end.isoformat(),
        "zone": survey_of(request.survey).night.zone,
    }


@task_group(group_id="submit")
def submit_or_adopt() -> None:
    """Render the application; stop a stream with another spec if requested; submit or adopt."""
    manifest = render_application(NightRequest)
    ended = EndOtherSpecOperator(
        task_id="end_other_spec",
        stream=STREAM,
        manner=_MANNER,
        manifest=manifest,
        if_differs=_IF_DIFFERS,
    )
    ended >> ways_to_submit(manifest, _IF_DIFFERS)


def watch_until_end(plan: Any) -> WatchNightOperator:
    """Watch the stream until the night's end given by `plan`."""
    return WatchNightOperator(
        task_id="watch_until_end",
        until=plan["end"],
        **_watched(),
    )


def drain_late_alerts() -> DrainNightOperator:
    """Continue until the late alerts are stored, or the grace period is over."""
    return DrainNightOperator(
        task_id="drain_late_alerts",
        until=RunValue("when watch_until_end ended", _when_watch_ended),
        quiet_s=form_seconds("quiet_minutes", 5),
        grace_s=form_seconds("grace_minutes", 30),
        **_watched(),
    )


def stop_night() -> StopStreamOperator:
    """Let the last batch end, stop the stream, and confirm that nothing of it is left."""
    return StopStreamOperator(
        task_id="stop_stream",
        stream=STREAM,
        manner=_MANNER,
    )


def prove_night(plan: Any, watched: Any, drained: Any, stopped: Any) -> Any:
    """Verify the night of `plan` with the results of its tasks, and report it in any case."""
    verified = verify_night(
        stream=plan["stream"],
        topic=plan["topic"],
        start=plan["start"],
        end=plan["end"],
        zone=plan["zone"],
        adopted=RunValue("whether the stream was adopted", _was_adopted),
        watched=watched.output,
        drained=drained.output,
        stopped=stopped.output,
        require_proof=form_value("require_proof", True),
    )
    report_night(verified)
    return verified


def _watched() -> dict[str, Any]:
    return {
        "manifest": APPLICATION,
        "release": form_value("release", ""),
        "submit_with": form_value("submit_with"),
        "restarts": form_value("restarts"),
        "when_killed": form_value("when_killed"),
    }

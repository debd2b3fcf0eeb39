"""The stages from submission to the first batch."""

from collections.abc import Callable
from typing import Any

from airflow.sdk import get_current_context, task_group
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import DeployRequest, DeployStage, IfDiffers, SubmitWith
from fink_k8s.glue.base.connections import survey_settings
from fink_k8s.glue.base.run_values import form_value, result_of
from fink_k8s.glue.base.steps import release_of, skip_if_asked, step
from fink_k8s.glue.config.run_request import stream_request
from fink_k8s.glue.image.running_image import image_to_run
from fink_k8s.glue.stream.sensors import FirstBatchSensor, StreamHealthSensor
from fink_k8s.glue.stream.spark_submit import SparkSubmitStreamOperator
from fink_k8s.glue.stream.submit_operators import SubmitStreamOperator

APPLICATION = result_of("submit.render_application")
"""The manifest of the run's stream, for tasks outside the group that submits it."""
STREAM = result_of("submit.render_application", "metadata", "name")
"""The stream's name, whichever task submitted it."""


@step()
def render_application(model: type[DeployRequest | NightRequest]) -> dict[str, Any]:
    """Build the SparkApplication of the request, with the image by digest."""
    request = stream_request(model)
    settings = survey_settings(request.survey)
    settings.need("kafka_servers", "store_prefix", "image_repository")
    # None if the stage was skipped.
    built = get_current_context()["ti"].xcom_pull(task_ids="image.build_image")
    release = release_of(request.release)
    image, main_file = image_to_run(request, settings, release, built)
    manifest = make_spark_application(
        request, settings, image, release.spark, main_file, release.flags
    )
    print(f"{manifest['metadata']['name']}: {main_file} of {image}")
    return manifest


@task_group(group_id="submit")
def submit_stream(model: type[DeployRequest | NightRequest]) -> None:
    """Render the application, submit or adopt it, and wait until its driver runs."""
    ways_to_submit(render_application(model))


def ways_to_submit(manifest: Any, if_differs: Any = IfDiffers.REFUSE) -> list[Any]:
    """Return the tasks that can submit it; the one not chosen in the form is skipped."""
    return [
        SubmitStreamOperator(
            task_id="submit_application",
            template_spec=manifest,
            if_differs=if_differs,
            pre_execute=skip_unless(SubmitWith.SPARK_OPERATOR),
        ),
        SparkSubmitStreamOperator(
            task_id="spark_submit",
            manifest=manifest,
            release=form_value("release", ""),
            if_differs=if_differs,
            pre_execute=skip_unless(SubmitWith.SPARK_SUBMIT),
        ),
    ]


def skip_unless(way: SubmitWith) -> Callable[[Any], None]:
    """Return a `pre_execute` that skips the task if the form has chosen the other way."""

    def skip(context: Any) -> None:
        asked = context["params"].get("submit_with") or SubmitWith.SPARK_OPERATOR
        if asked != way:
            raise AirflowSkipException(f"submit_with is {asked}")

    return skip


def wait_until_healthy() -> StreamHealthSensor:
    """Wait until the stream's query is alive."""
    return StreamHealthSensor(
        task_id="wait_until_healthy",
        stream=STREAM,
        pre_execute=skip_if_asked(DeployStage.HEALTHY),
    )


def wait_for_first_batch() -> FirstBatchSensor:
    """Wait until alerts are being stored."""
    return FirstBatchSensor(
        task_id="wait_for_first_batch",
        stream=STREAM,
        poke_interval=5,
        timeout=300,
        pre_execute=skip_if_asked(DeployStage.FIRST_BATCH),
    )

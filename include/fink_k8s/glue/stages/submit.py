"""The stages from submission to the first batch: the stream is up, lives, and stores."""

from typing import Any

from airflow.sdk import get_current_context, task_group

from fink_k8s.core.manifests import make_spark_application
from fink_k8s.core.requests import Stage
from fink_k8s.core.settings import load_settings
from fink_k8s.glue.operators import SubmitStreamOperator
from fink_k8s.glue.running_image import image_to_run
from fink_k8s.glue.sensors import FirstBatchSensor, StreamHealthSensor
from fink_k8s.glue.steps import deploy_request, release_of, skip_if_asked, step

_SUBMITTED = "{{ ti.xcom_pull(task_ids='submit.submit_application')['application'] }}"


@step()
def render_application() -> dict[str, Any]:
    """Make the SparkApplication of the request, with the image by digest."""
    request = deploy_request()
    settings = load_settings()
    settings.need("kafka_servers", "store_prefix", "image_repository")
    # None where the stage was skipped.
    built = get_current_context()["ti"].xcom_pull(task_ids="image.build_image")
    release = release_of(request.release)
    image, main_file = image_to_run(request, settings, release, built)
    manifest = make_spark_application(request, settings, image, release.spark, main_file)
    print(f"{manifest['metadata']['name']}: {main_file} of {image}")
    return manifest


@task_group(group_id="submit")
def submit_stream() -> None:
    """Render the application, submit or adopt it, and wait until its driver runs."""
    SubmitStreamOperator(task_id="submit_application", template_spec=render_application())


def wait_until_healthy() -> StreamHealthSensor:
    """Wait until the stream's query lives."""
    return StreamHealthSensor(
        task_id="wait_until_healthy",
        stream=_SUBMITTED,
        pre_execute=skip_if_asked(Stage.HEALTHY),
    )


def wait_for_first_batch() -> FirstBatchSensor:
    """Wait until alerts are being stored."""
    return FirstBatchSensor(
        task_id="wait_for_first_batch",
        stream=_SUBMITTED,
        poke_interval=5,
        timeout=300,
        pre_execute=skip_if_asked(Stage.FIRST_BATCH),
    )

"""The stage `image`: Spark, what the installation adds, and the code, built and pushed."""

from pathlib import Path

from airflow.sdk import task_group

from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.image.image_plan import plan_of
from fink_k8s.core.image.image_request import ImageRequest
from fink_k8s.core.stream.stream_request import DeployStage
from fink_k8s.glue.base.connections import docker_client, registry_login
from fink_k8s.glue.base.steps import INCLUDE, release_of, request_of, step


@task_group(group_id="image")
def image() -> None:
    """Bring Spark and its jars, then build and push what changed; give the image by digest."""
    build_image(fetch_spark())


@step(DeployStage.IMAGE)
def fetch_spark() -> dict[str, str]:
    """Bring Spark's distribution and the jars, checked against their checksums."""
    from fink_k8s.adapters.image.distribution import ensure_distribution, ensure_jars

    settings = load_settings()
    request = request_of(ImageRequest)
    release = release_of(request.release)
    for sentence in plan_of(request, settings, release):
        print(sentence)
    home = ensure_distribution(settings, release, say=print)
    jars = ensure_jars(settings, release, say=print)
    return {"home": str(home), "jars": str(jars)}


@step(DeployStage.IMAGE)
def build_image(spark: dict[str, str]) -> str:
    """Build and push as set in the form; leave unchanged what exists."""
    from fink_k8s.adapters.image.image_build import ensure_image

    request = request_of(ImageRequest)
    result = ensure_image(
        docker_client(),
        load_settings(),
        release_of(request.release),
        Path(spark["home"]),
        Path(spark["jars"]),
        INCLUDE,
        say=print,
        request=request,
        login=registry_login(),
    )
    print(f"image {result.reference}")
    return result.reference

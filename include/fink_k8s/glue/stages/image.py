"""The stage `image`: Spark, its jars and the job in one image, built and pushed."""

from pathlib import Path

from airflow.sdk import task_group

from fink_k8s.core.requests import ImageRequest, Stage
from fink_k8s.core.settings import load_settings
from fink_k8s.glue.connections import docker_client
from fink_k8s.glue.steps import INCLUDE, release_of, request_of, step


@task_group(group_id="image")
def image() -> None:
    """Bring Spark and its jars, then build and push what changed; give the image by digest."""
    build_image(fetch_spark())


@step(Stage.IMAGE)
def fetch_spark() -> dict[str, str]:
    """Bring Spark's distribution and the jars, checked against their checksums."""
    from fink_k8s.adapters.distribution import ensure_distribution, ensure_jars

    settings = load_settings()
    release = release_of(request_of(ImageRequest).release)
    home = ensure_distribution(settings, release, say=print)
    jars = ensure_jars(settings, release, say=print)
    return {"home": str(home), "jars": str(jars)}


@step(Stage.IMAGE)
def build_image(spark: dict[str, str]) -> str:
    """Build and push; what is in the registry already is left alone."""
    from fink_k8s.adapters.images import ensure_image

    result = ensure_image(
        docker_client(),
        load_settings(),
        release_of(request_of(ImageRequest).release),
        Path(spark["home"]),
        Path(spark["jars"]),
        INCLUDE,
        say=print,
    )
    print(f"image {result.reference}")
    return result.reference

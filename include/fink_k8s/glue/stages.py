"""The stages of a bring-up, each a task or a task group; DAGs are chains of these.

A stage that the form skips ends as `skipped` and the chain goes on: every task's trigger rule is
`none_failed`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core import names
from fink_k8s.core.errors import InvalidRequest, Refused
from fink_k8s.core.manifests import make_spark_application
from fink_k8s.core.preflight import Level
from fink_k8s.core.releases import Release, releases_from
from fink_k8s.core.requests import DeployRequest, ImageRequest, RbacRequest, Stage
from fink_k8s.core.settings import load_settings
from fink_k8s.glue.connections import ADMIN_CONNECTION, cluster, docker_client, store
from fink_k8s.glue.failures import airflow_failures
from fink_k8s.glue.form import Model, request_from
from fink_k8s.glue.operators import SubmitStreamOperator
from fink_k8s.glue.sensors import FirstBatchSensor, StreamHealthSensor

INCLUDE = Path(__file__).resolve().parents[2]
_SUBMITTED = "{{ ti.xcom_pull(task_ids='submit.submit_application')['application'] }}"


def skip_if_asked(stage: Stage) -> Callable[[Any], None]:
    """Return a `pre_execute` that skips the task where the form skips `stage`."""

    def skip(context: Any) -> None:
        if stage in (context["params"].get("skip") or []):
            raise AirflowSkipException(f"stage {stage} is skipped, as the form asks")

    return skip


def step(stage: Stage | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a task of a function: of a stage that can be skipped, its errors told as Airflow's."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with airflow_failures():
                return function(*args, **kwargs)

        if stage:
            options["pre_execute"] = skip_if_asked(stage)
        return task(**options)(guarded)

    return decorate


def request_of(model: type[Model]) -> Model:
    """Return the part of the run's form that `model` describes."""
    context = get_current_context()
    return request_from(context["params"], model, form=context["dag"].params)


def deploy_request() -> DeployRequest:
    """Return the run's request, its night and topic filled in.

    An empty night is the date (UTC) of the run itself, which a retry does not change.
    """
    run_after: datetime = get_current_context()["dag_run"].run_after
    return request_of(DeployRequest).filled_in(names.night_of(run_after.astimezone(UTC)))


def release_of(tag: str) -> Release:
    """Return a release of `releases.yaml`; the current one for an empty tag."""
    return releases_from((INCLUDE / "releases.yaml").read_text()).get(tag)


@step(Stage.PREFLIGHT, execution_timeout=timedelta(minutes=3), retries=0)
def check_prerequisites() -> list[str]:
    """Check cluster, operator, room, topic and store; fail with every remedy at once."""
    from fink_k8s.adapters.preflight import inspect

    request = deploy_request()
    settings = load_settings()
    findings = []
    for finding in inspect(
        cluster(ADMIN_CONNECTION),
        store(settings),
        settings,
        request,
        release_of(request.release),
        makes_namespace=Stage.RBAC not in request.skip,
    ):
        print(finding)
        findings.append(finding)
    errors = [str(finding) for finding in findings if finding.level is Level.ERROR]
    if errors:
        raise Refused("; ".join(errors))
    return [str(finding) for finding in findings]


@task_group(group_id="rbac")
def rbac() -> None:
    """Grant the driver's rights and prove them."""
    grant_rights() >> check_rights()


@step(Stage.RBAC)
def grant_rights() -> list[str]:
    """Make namespace, account, role and binding; return what that changed."""
    from fink_k8s.adapters.rights import ensure_rights

    mode = request_of(RbacRequest).rbac_mode
    return ensure_rights(cluster(ADMIN_CONNECTION), load_settings(), mode, say=print)


@step(Stage.RBAC)
def check_rights() -> int:
    """Ask the API server what the driver may do, and what it may not."""
    from fink_k8s.adapters import rights

    mode = request_of(RbacRequest).rbac_mode
    return rights.check_rights(cluster(ADMIN_CONNECTION), load_settings(), mode, say=print)


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


@step()
def render_application() -> dict[str, Any]:
    """Make the SparkApplication of the request, with the image by digest."""
    from fink_k8s.adapters.images import resolve

    request = deploy_request()
    settings = load_settings()
    settings.need("kafka_servers", "store_prefix", "image_repository")
    # None where the stage was skipped.
    built = get_current_context()["ti"].xcom_pull(task_ids="image.build_image")
    if built and request.image_tag:
        raise InvalidRequest("image_tag is set, but stage image built one; skip that stage")
    release = release_of(request.release)
    reference = built or resolve(settings.image_repository, request.image_tag or release.tag)
    manifest = make_spark_application(request, settings, reference, release.spark)
    print(f"{manifest['metadata']['name']}: {reference}")
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

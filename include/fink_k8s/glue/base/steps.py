"""What the tasks of all stages have in common: skipping, errors, the run's own request."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from fink_k8s.core.config.releases import Release, releases_from
from fink_k8s.core.stream.stream_request import DeployStage
from fink_k8s.glue.base.form import Model, request_from
from fink_k8s.glue.base.task_failures import airflow_failures

INCLUDE = Path(__file__).resolve().parents[3]


def skip_if_asked(stage: DeployStage) -> Callable[[Any], None]:
    """Return a `pre_execute` that skips the task where the form skips `stage`."""

    def skip(context: Any) -> None:
        if stage in (context["params"].get("skip") or []):
            raise AirflowSkipException(f"stage {stage} is skipped, as set in the form")

    return skip


def step(stage: DeployStage | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a task of a function; turn its errors into Airflow's.

    A form can skip the task if it belongs to a `stage`.
    """

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


def release_of(tag: str) -> Release:
    """Return a release of `releases.yaml`; the current one for an empty tag."""
    return releases_from((INCLUDE / "releases.yaml").read_text()).get(tag)

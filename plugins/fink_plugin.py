"""Register with Airflow what a plugin must: the links, and the driver's UI behind the login."""

from airflow.plugins_manager import AirflowPlugin

from fink_k8s.glue.links import SparkUiLink


def _fastapi_apps() -> list[dict[str, object]]:
    """Return the web application; only the API server needs, and can load, it."""
    from fink_k8s.glue.spark_ui import FASTAPI_APP

    return [FASTAPI_APP]


class FinkPlugin(AirflowPlugin):
    """What Fink adds to Airflow."""

    name = "fink"
    operator_extra_links = [SparkUiLink()]  # noqa: RUF012 - Airflow's own shape of a plugin
    fastapi_apps = _fastapi_apps()

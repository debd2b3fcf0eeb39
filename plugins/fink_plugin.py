"""Register with Airflow what a plugin must: the links, and the driver's UI behind the login.

Every Airflow process imports this file, so it imports little itself.
"""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from fink_k8s.glue.links import UI_PREFIX, SparkUiLink


async def spark_ui(scope: Any, receive: Any, send: Any) -> None:
    """Serve the driver's UI; only the web server ever calls this, and loads what it needs."""
    from fink_k8s.glue.spark_ui import app

    await app(scope, receive, send)


class FinkPlugin(AirflowPlugin):
    """What Fink adds to Airflow."""

    name = "fink"
    operator_extra_links = [SparkUiLink()]  # noqa: RUF012 - Airflow's own shape of a plugin
    fastapi_apps = [{"app": spark_ui, "url_prefix": UI_PREFIX, "name": "Fink"}]  # noqa: RUF012

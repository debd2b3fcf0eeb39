"""Register links, timetable and pages with Airflow.

Every Airflow process imports this file, so it imports little itself.
"""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from fink_k8s.glue.base.links import UI_PREFIX, NightReportLink, SparkUiLink, night_report_path
from fink_k8s.glue.config.timetable import NightTimetable


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """Serve the pages; only the web server calls this, and loads what it needs."""
    from fink_k8s.glue.pages import app

    await app(scope, receive, send)


class FinkPlugin(AirflowPlugin):
    """Fink's additions to Airflow."""

    name = "fink"
    operator_extra_links = [SparkUiLink(), NightReportLink()]  # noqa: RUF012 - Airflow's own shape of a plugin
    timetables = [NightTimetable]  # noqa: RUF012
    fastapi_apps = [{"app": pages, "url_prefix": UI_PREFIX, "name": "Fink"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Fink nights",
            "href": night_report_path(""),
            "url_route": "fink-nights",
            "destination": "nav",
            "category": "browse",
        }
    ]

"""The application that the plugin mounts: all pages, behind Airflow's login."""

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI

from fink_k8s.glue.night import night_pages
from fink_k8s.glue.stream import spark_ui

ACCESS = requires_access_dag("GET")

app = FastAPI(title="Fink", docs_url=None, redoc_url=None, openapi_url=None)
for pages in (night_pages.router, spark_ui.router):
    app.include_router(pages, dependencies=[Depends(ACCESS)])

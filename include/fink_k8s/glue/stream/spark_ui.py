"""The Spark UI of a stream's driver.

The UI has no login of its own. It is reached through the API server's pod proxy with Airflow's
rights, read-only, and only for drivers with the name of a stream.
"""

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import RedirectResponse

from fink_k8s.core.base.errors import FinkError, InvalidRequest
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.stream.stream_names import driver_pod_name, parse_stream_name
from fink_k8s.glue.base.connections import cluster
from fink_k8s.glue.base.links import spark_ui_path

# Spark's own pages and their parts. A `..` would leave the driver's address in the API server's
# proxy, and reach everything else that Airflow's account may read.
_NAME = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PAGE = re.compile(rf"({_NAME}/)*({_NAME})?")

router = APIRouter()


@router.get("/streams/{stream}/ui/{path:path}")
def show_spark_ui(
    stream: Annotated[str, Path(max_length=63)], path: str, request: Request
) -> Response:
    """Return a page of the driver's UI, with its links rewritten to this address."""
    try:
        parse_stream_name(stream)
    except InvalidRequest as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
    if _PAGE.fullmatch(path) is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "this is not a page of the Spark UI")
    base = spark_ui_path(stream).rstrip("/")
    if not path:
        # Spark's own redirect would lead to the API server, without TLS.
        return RedirectResponse(f"{base}/jobs/")
    try:
        page = cluster().driver_page(
            load_settings().namespace,
            driver_pod_name(stream),
            path,
            list(request.query_params.multi_items()),
            base,
        )
    except FinkError as error:
        raise HTTPException(
            HTTPStatus.BAD_GATEWAY,
            f"the UI of the driver of {stream} is not available: {error}; check that the stream is "
            "running",
        ) from error
    return Response(page.body, media_type=page.content_type)

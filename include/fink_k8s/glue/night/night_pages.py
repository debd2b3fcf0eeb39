"""The pages of night reports, read from where the task `report_night` wrote them."""

import base64
import hashlib
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from fink_k8s.adapters.store.archive import kept_report, kept_streams
from fink_k8s.core.base.errors import FinkError, InvalidRequest
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.core.night.night_page import STYLES, list_page, night_page
from fink_k8s.core.stream.stream_names import parse_stream_name
from fink_k8s.glue.base.connections import store

MOST_NIGHTS = 30
# Nothing is loaded and no script runs; only the pages' own style elements apply.
_HASHES = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in STYLES]
_OWN = " ".join(f"'sha256-{digest}'" for digest in _HASHES)
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_OWN}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}

router = APIRouter()


@router.get("/nights/")
def show_nights() -> Response:
    """Return the latest nights that have a report, one sentence each."""
    try:
        settings = load_settings()
        nights = kept_streams(settings, partial(store, settings))
        reports = {name: _told(name) for name in nights[:MOST_NIGHTS]}
    except FinkError as error:
        raise _unreadable(error) from error
    return _page(list_page(reports, more=len(nights) - len(reports)))


@router.get("/nights/{stream}")
def show_night(stream: Annotated[str, Path(max_length=63)]) -> Response:
    """Return the report of one night."""
    try:
        parse_stream_name(stream)
    except InvalidRequest as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
    try:
        settings = load_settings()
        facts = kept_report(stream, settings, partial(store, settings))
    except FinkError as error:
        raise _unreadable(error) from error
    if facts is None:
        raise HTTPException(
            HTTPStatus.NOT_FOUND,
            f"{stream} has no report yet; the task report_night of its run writes it",
        )
    return _page(night_page(facts))


def _told(stream: str) -> NightFacts | str:
    """Return a night's facts, or why its report cannot be read; other nights are still shown."""
    settings = load_settings()
    try:
        return kept_report(stream, settings, partial(store, settings)) or "no report yet"
    except FinkError as error:
        return str(error)


def _unreadable(error: FinkError) -> HTTPException:
    return HTTPException(HTTPStatus.BAD_GATEWAY, f"the reports cannot be read: {error}")


def _page(text: str) -> Response:
    return Response(text, media_type="text/html", headers=_HEADERS)

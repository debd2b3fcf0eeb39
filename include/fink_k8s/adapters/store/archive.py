"""Where reports and bundles are kept for people: in the store, or in a folder of the workers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from pyarrow import fs
from pydantic import ValidationError

from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.adapters.store.store_files import StoreFiles
from fink_k8s.core.base.errors import InvalidRequest, OutOfSight, Unavailable
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.night.night_facts import NightFacts
from fink_k8s.core.night.night_report import FACTS, files_of
from fink_k8s.core.stream.ownership import stream_named
from fink_k8s.core.stream.stream_names import parse_stream_name

_REPORTS = "reports"
OpenStore = Callable[[], Store]


def keep_bundle(
    files: Mapping[str, str],
    stream: str,
    moment: datetime,
    settings: Settings,
    open_store: OpenStore,
) -> str:
    """Write a bundle to the configured folder, or to the store; return its address.

    Raises:
        Unavailable: neither takes it.
    """
    folder = f"{stream}/{moment:%Y%m%dT%H%M%SZ}"
    if settings.diagnosis_dir:
        return _write_to_folder(settings.diagnosis_dir, folder, files)
    return open_store().write(f"diagnosis/{folder}", files)


def keep_report(facts: NightFacts, settings: Settings, open_store: OpenStore) -> str:
    """Write a night's report beside its alerts, or to the folder where the store is out of sight.

    Replaces an existing report. Returns its address.

    Raises:
        OutOfSight: Airflow cannot read the store, and no folder is set.
        Unavailable: it cannot be written.
    """
    folder, files = f"{_REPORTS}/{facts.stream}", files_of(facts)
    try:
        return open_store().write(folder, files)
    except OutOfSight:
        if not settings.diagnosis_dir:
            raise
        return _write_to_folder(settings.diagnosis_dir, folder, files)


def kept_report(stream: str, settings: Settings, open_store: OpenStore) -> NightFacts | None:
    """Return the facts that the report of a night holds; None where there is no report.

    Raises:
        OutOfSight, Unavailable: it cannot be read.
        InvalidRequest: it is not a report, or the name is not a stream's.
    """
    parse_stream_name(stream)
    text = _shelf(settings, open_store).text(f"{_REPORTS}/{stream}/{FACTS}")
    if text is None:
        return None
    try:
        return NightFacts.model_validate_json(text)
    except ValidationError as error:
        raise InvalidRequest(
            f"{_REPORTS}/{stream}/{FACTS} holds no facts of a night; clear the task that reports"
        ) from error


def kept_streams(settings: Settings, open_store: OpenStore) -> list[str]:
    """Return the streams that have a report, the latest night first.

    Raises:
        OutOfSight, Unavailable: nobody can look.
    """
    names = _shelf(settings, open_store).folders(_REPORTS)
    return sorted(filter(stream_named, names), key=_night_of, reverse=True)


def _shelf(settings: Settings, open_store: OpenStore) -> StoreFiles:
    try:
        return open_store()
    except OutOfSight:
        if not settings.diagnosis_dir:
            raise
        return _folder(settings.diagnosis_dir)


def _folder(path: str) -> StoreFiles:
    return StoreFiles(path, fs.LocalFileSystem(), path)


def _write_to_folder(home: str, folder: str, files: Mapping[str, str]) -> str:
    try:
        Path(home).mkdir(parents=True, exist_ok=True)
        return _folder(home).write(folder, files)
    except (OSError, Unavailable) as error:
        raise Unavailable(f"{error}; check FINK_DIAGNOSIS_DIR") from error


def _night_of(stream: str) -> tuple[str, str]:
    survey, night = parse_stream_name(stream)
    return night, survey

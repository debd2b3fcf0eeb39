"""How the alerts of each survey are read: one module for each `-producer`.

A module is named as the producer and offers what `SurveyReader` lists.
"""

import importlib
import pkgutil
from typing import Any, List, Protocol


class SurveyReader(Protocol):
    """What a survey's module offers; columns are those of the alert's schema."""

    KEY: str
    """The column that identifies an alert; it is null where a message could not be decoded."""
    TIME: str
    """The column with the time of the observation."""
    IMPLAUSIBLE: str
    """Why a decoded alert is set aside, where `plausible` is false."""

    def datum_of(self) -> str:
        """Return the SQL expression of an alert's Avro datum: `value` without its framing."""

    def plausible(self) -> Any:
        """Return the column that tells an alert from garbage that decoded by chance."""

    def event_time(self, time: Any) -> Any:
        """Return the timestamp column that a column of `TIME` stands for."""


def producers() -> List[str]:
    """Return the producers that this job can read."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def reader_of(producer: str) -> SurveyReader:
    """Return the module that reads a producer's alerts; `producer` is one of `producers()`."""
    return importlib.import_module(f"{__name__}.{producer}")

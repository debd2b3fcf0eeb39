"""How bad a cause is, and how a stream is at one look."""

from enum import StrEnum


class Severity(StrEnum):
    """What a cause does to a stream: stop or hold it up, or only call for attention."""

    ERROR = "error"
    WARNING = "warning"


class HealthLevel(StrEnum):
    """How a stream is, at one look."""

    WELL = "well"
    STARTING = "starting"
    ENDED = "ended"
    UNKNOWN = "unknown"
    LATE = "late"
    TROUBLED = "troubled"
    STALLED = "stalled"
    DEAD = "dead"

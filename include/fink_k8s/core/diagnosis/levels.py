"""How severe a cause is, and the health of a stream at one look."""

from enum import StrEnum


class Severity(StrEnum):
    """The effect of a cause: it stops or delays the stream, or only needs attention."""

    ERROR = "error"
    WARNING = "warning"


class HealthLevel(StrEnum):
    """The health of a stream at one look."""

    WELL = "well"
    STARTING = "starting"
    ENDED = "ended"
    UNKNOWN = "unknown"
    LATE = "late"
    TROUBLED = "troubled"
    STALLED = "stalled"
    DEAD = "dead"

"""ZTF: each message is an Avro container file that holds one alert and the writer's schema."""

from typing import Any

from pyspark.sql import functions as F  # noqa: N812 - the name that Spark's own documents use

KEY = "candid"
TIME = "candidate.jd"
IMPLAUSIBLE = "candid or jd is out of range"

# Alerts outside are garbage that decoded by chance: Julian dates of the years 1858 to 2132.
EARLIEST_JD, LATEST_JD = 2400000.5, 2500000.0


def datum_of() -> str:
    """Return the SQL expression of an alert's Avro datum, resolved to the reader's schema."""
    return "datum_of(value, reader_schema)"


def plausible() -> Any:
    """Return the column that tells an alert from garbage that decoded by chance."""
    return (F.col("alert.candid") > 0) & F.col("alert.candidate.jd").between(EARLIEST_JD, LATEST_JD)


def event_time(time: Any) -> Any:
    """Return the timestamp of a Julian date (UTC, in days)."""
    # The Unix epoch is the Julian date 2440587.5.
    return F.timestamp_seconds((time - 2440587.5) * 86400)

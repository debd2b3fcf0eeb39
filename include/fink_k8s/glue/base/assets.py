"""What other DAGs can wait for."""

from airflow.sdk import Asset

RAW_NIGHTS = Asset(name="fink_raw_nights", uri="x-fink://raw/nights", group="fink")
"""The nights that have all their raw alerts; one event per night, with the location in its "
    "extra."""

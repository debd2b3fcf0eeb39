"""What other DAGs can wait for."""

from airflow.sdk import Asset

RAW_NIGHTS = Asset(name="fink_raw_nights", uri="x-fink://raw/nights", group="fink")
"""The nights whose raw alerts are complete; an event a night, whose extra says where they are."""

"""Surveys of a test's own: what stands in an installation's surveys.yaml."""

from pathlib import Path
from typing import Any

import yaml

ZTF = {"topic": "ztf_public_{night}", "schema": "ztf_3p3.avsc", "store_prefix": ""}
PARTNER = {"topic": "partner_{night}", "schema": "ztf_3p3.avsc", "producer": "ztf"}
"""A made-up survey whose alerts are of ZTF's kind."""
ALL_DAY = {"zone": "UTC", "opens": "00:00", "closes": "00:00"}


def write_surveys(folder: Path, **rows: dict[str, Any]) -> Path:
    """Write surveys, by name, and return the file for FINK_SURVEYS.

    A row that says no more is a night of a day, in a folder of its own.
    """
    surveys = [
        {"name": name, "night": ALL_DAY, "store_prefix": name, **row} for name, row in rows.items()
    ]
    file = folder / "surveys.yaml"
    file.write_text(yaml.safe_dump({"surveys": surveys}))
    return file

"""Links from a task to what it made."""

from typing import Any

from airflow.sdk import BaseOperatorLink

UI_PREFIX = "/fink"


class SparkUiLink(BaseOperatorLink):
    """Opens the Spark UI of the task's stream (`glue/stream/spark_ui.py`)."""

    name = "Spark UI"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path under Airflow's own address."""
        return spark_ui_path(operator.stream)


class NightReportLink(BaseOperatorLink):
    """Opens the report of the task's night (`glue/night/night_pages.py`)."""

    name = "Night report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path under Airflow's own address; of no stream, that of all reports."""
        return night_report_path(operator.op_kwargs["stream"])


def spark_ui_path(stream: str) -> str:
    """Return where Airflow's web server shows the UI of `stream`'s driver."""
    return f"{UI_PREFIX}/streams/{stream}/ui/"


def night_report_path(stream: str) -> str:
    """Return where Airflow's web server shows the report of `stream`'s night."""
    return f"{UI_PREFIX}/nights/{stream}"

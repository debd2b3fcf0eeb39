"""How Prometheus finds a driver, and the Spark options that expose its metrics.

The driver's port 4040 serves two pages in Prometheus' text format: the driver's own metrics, with
the streaming query's, at `SCRAPED`'s path, and the executors' at `EXECUTORS_PATH`.
https://spark.apache.org/docs/latest/monitoring.html#metrics
"""

from collections.abc import Mapping

from fink_k8s.core.base.versions import version_of

UI_PORT = 4040
DRIVER_PATH = "/metrics/prometheus/"
EXECUTORS_PATH = "/metrics/executors/prometheus/"

SCRAPED: Mapping[str, str] = {
    "prometheus.io/scrape": "true",
    "prometheus.io/path": DRIVER_PATH,
    "prometheus.io/port": str(UI_PORT),
}
"""The driver's annotations; scrape configurations of most installations look for these."""


def prometheus_conf(spark_version: str) -> dict[str, str]:
    """Return the options that enable both pages; Spark before 3.0 has neither.

    The sink is added to Spark's own, which still serves `/metrics/json/`. A fixed namespace keeps
    the metric names the same across runs: by default, they contain the application id.
    """
    if version_of(spark_version).major < 3:
        return {}
    sink = "spark.metrics.conf.driver.sink.prometheusServlet"
    return {
        "spark.ui.prometheus.enabled": "true",
        "spark.metrics.namespace": "stream2raw",
        f"{sink}.class": "org.apache.spark.metrics.sink.PrometheusServlet",
        f"{sink}.path": DRIVER_PATH.rstrip("/"),
    }

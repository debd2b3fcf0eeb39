"""How Prometheus finds a driver, and what Spark is told to show it.

The driver's port 4040 shows two pages in Prometheus' text format: the driver's own metrics, with
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
    """Return the options that open both pages; a Spark before 3.0 has neither.

    The sink is set beside Spark's own, which goes on to serve `/metrics/json/`. A name space of
    our own keeps the names of metrics the same from one run to the next: by default they hold the
    id of the application.
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

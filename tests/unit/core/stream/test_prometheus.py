import pytest

from fink_k8s.core.stream.prometheus import SCRAPED, prometheus_conf


@pytest.mark.parametrize("version", ["3.1.3", "3.5.7", "4.0.1", "10.0"])
def test_spark_shows_what_the_annotations_promise(version):
    assert prometheus_conf(version) == {
        "spark.ui.prometheus.enabled": "true",
        "spark.metrics.namespace": "stream2raw",
        "spark.metrics.conf.driver.sink.prometheusServlet.class": (
            "org.apache.spark.metrics.sink.PrometheusServlet"
        ),
        "spark.metrics.conf.driver.sink.prometheusServlet.path": "/metrics/prometheus",
    }
    assert SCRAPED["prometheus.io/path"].rstrip("/") == "/metrics/prometheus"


def test_a_spark_that_has_no_such_sink_would_not_start_with_it():
    assert prometheus_conf("2.4.4") == {}

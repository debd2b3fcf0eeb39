"""A form field that becomes a Spark property is declared in one place: on the field."""

from typing import Annotated

import pytest
from pydantic import Field

from fink_k8s.core.config.settings import Settings
from fink_k8s.core.stream.form_properties import SparkProperty, form_properties
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import StreamRequest
from fink_k8s.core.stream.submit_conf import spark_submit_from
from fink_k8s.glue.base.form import form_of

NAME = "spark.example.retries"


class WithRetries(StreamRequest):
    """What adding a field takes."""

    retries: Annotated[int, SparkProperty(NAME)] = Field(
        3, title="Retries", description="How often a fetch is retried.", ge=0, le=9
    )
    is_eager: Annotated[bool, SparkProperty("spark.example.eager")] = False


def request(**fields):
    return WithRetries(night="20260101", topic="alerts", **fields)


def application(**fields):
    settings = Settings(kafka_servers="kafka:9092", store_prefix="s3a://fink")
    return make_spark_application(request(**fields), settings, "image@sha256:0", "3.5.7")


@pytest.mark.shows("CONTRIBUTING.md#add-spark-property")
def test_a_marked_field_is_in_the_form_the_application_and_the_call_of_spark_submit():
    assert form_of(WithRetries)["retries"].schema["maximum"] == 9
    manifest = application(retries=5)
    assert manifest["spec"]["sparkConf"][NAME] == "5"
    assert spark_submit_from(manifest).conf[NAME] == "5"


def test_a_field_that_is_left_alone_changes_no_stream():
    assert NAME not in application()["spec"]["sparkConf"]
    assert form_properties(request(retries=3)) == {}


def test_a_flag_is_written_as_spark_writes_it():
    assert form_properties(request(is_eager=True)) == {"spark.example.eager": "true"}

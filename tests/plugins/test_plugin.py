"""The plugin is light for every process, and its pages are for those who are logged in."""

import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

from docs.generate import ROOT
from fink_k8s.core.errors import Unavailable

STREAM = "stream2raw-ztf-20260101"


@pytest.fixture
def client(monkeypatch):
    from fink_k8s.glue import spark_ui

    class NoDriver:
        def driver_page(self, *_):
            raise Unavailable("GET jobs/: there is no such object")

    monkeypatch.setattr(spark_ui, "cluster", NoDriver)
    (login,) = spark_ui.app.routes[-1].dependencies
    spark_ui.app.dependency_overrides[login.dependency] = lambda: None
    yield TestClient(spark_ui.app, follow_redirects=False)
    spark_ui.app.dependency_overrides.clear()


def test_the_plugin_loads_no_web_framework():
    code = (
        "import sys; sys.path[:0] = ['plugins', 'include']; import fink_plugin; "
        "print({'fastapi', 'kubernetes', 'docker', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_first_page_leads_to_the_jobs(client):
    answer = client.get(f"/streams/{STREAM}/ui/")
    assert answer.headers["location"] == f"/fink/streams/{STREAM}/ui/jobs/"


@pytest.mark.parametrize("name", ["spark-operator", "stream2raw-xyz-20260101", "a" * 63])
def test_what_is_no_stream_is_not_found(client, name):
    assert client.get(f"/streams/{name}/ui/jobs/").status_code == 404


def test_a_driver_that_is_not_there_is_told_with_its_reason(client):
    answer = client.get(f"/streams/{STREAM}/ui/jobs/")
    assert answer.status_code == 502
    assert "does the stream run?" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/%2e%2e/other:8080/proxy/",
        "jobs/%2e%2e/%2e%2e/%2e%2e/secrets",
        "..%2f..%2f..%2fpods/other/log",
        "%2e/jobs/",
        "jobs//stages",
        "%2fapi/v1/namespaces",
        "jobs/%3fa=b",
        "jobs/%23a",
        "jobs%5c..%5c",
        "jobs/%00",
        "jobs/%0d%0aHost: other",
    ],
)
def test_no_path_leads_out_of_the_drivers_ui(client, path):
    answer = client.get(f"/streams/{STREAM}/ui/{path}")
    assert answer.status_code == 404, answer.text


def test_the_parts_of_sparks_own_pages_are_asked_for(client):
    for path in ("jobs/", "static/bootstrap.min.css", "api/v1/applications/spark-a1b2/stages",
                 "StreamingQuery/statistics/"):  # fmt: skip
        assert client.get(f"/streams/{STREAM}/ui/{path}").status_code == 502


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_can_be_done_through_it(client, method):
    assert getattr(client, method)(f"/streams/{STREAM}/ui/jobs/").status_code == 405


def test_without_login_there_is_nothing_to_see():
    from fink_k8s.glue import spark_ui

    answer = TestClient(spark_ui.app).get(f"/streams/{STREAM}/ui/jobs/")
    assert answer.status_code == 401

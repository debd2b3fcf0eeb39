"""The plugin is light for every process, and its pages are for those who are logged in."""

import base64
import hashlib
import importlib.util
import re
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

from docs.generate import ROOT
from fink_k8s.core.base.errors import OutOfSight, Unavailable
from tests.facts import facts_of, restart

STREAM = "stream2raw-ztf-20260101"


@pytest.fixture
def client(monkeypatch):
    from fink_k8s.glue.night import night_pages as nights
    from fink_k8s.glue.pages import ACCESS, app
    from fink_k8s.glue.stream import spark_ui

    class NoDriver:
        def driver_page(self, *_):
            raise Unavailable("GET jobs/: there is no such object")

    def no_store(settings):
        raise OutOfSight("FINK_STORE_MOUNT is not set")

    monkeypatch.setattr(spark_ui, "cluster", NoDriver)
    monkeypatch.setattr(nights, "store", no_store)
    app.dependency_overrides[ACCESS] = lambda: None
    yield TestClient(app, follow_redirects=False)
    app.dependency_overrides.clear()


def test_the_plugin_loads_no_web_framework():
    code = (
        "import sys; sys.path[:0] = ['plugins', 'include']; import fink_plugin; "
        "print({'fastapi', 'kubernetes', 'docker', 'pyarrow', 'pydantic_settings'}"
        " & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_airflow_finds_the_timetable_of_nights():
    from airflow import plugins_manager

    from fink_k8s.glue.config.timetable import NightTimetable

    found = plugins_manager.get_timetables_plugins()
    assert found["fink_k8s.glue.config.timetable.NightTimetable"] is NightTimetable


def test_the_first_page_leads_to_the_jobs(client):
    answer = client.get(f"/streams/{STREAM}/ui/")
    assert answer.headers["location"] == f"/fink/streams/{STREAM}/ui/jobs/"


@pytest.mark.parametrize("name", ["spark-operator", "stream2raw-xyz-2026", "a" * 63])
def test_what_is_no_stream_is_not_found(client, name):
    assert client.get(f"/streams/{name}/ui/jobs/").status_code == 404


def test_a_driver_that_is_not_there_is_told_with_its_reason(client):
    answer = client.get(f"/streams/{STREAM}/ui/jobs/")
    assert answer.status_code == 502
    assert "check that the stream is running" in answer.json()["detail"]


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


PAGES = [f"/streams/{STREAM}/ui/jobs/", "/nights/", f"/nights/{STREAM}"]


@pytest.mark.shows("docs/from-the-command-line.md#spark-ui")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_can_be_done_through_it(client, method, page):
    assert getattr(client, method)(page).status_code == 405


@pytest.mark.parametrize("page", PAGES)
def test_without_login_there_is_nothing_to_see(page):
    from fink_k8s.glue.pages import app

    assert TestClient(app).get(page).status_code == 401


def test_no_page_lies_outside_the_login():
    from fink_k8s.glue.pages import app

    paths = {path.replace("{stream}", STREAM).replace("{path:path}", "jobs/")
             for path in routes_of(app)}  # fmt: skip
    assert paths == set(PAGES)


def routes_of(app):
    from fink_k8s.glue.night import night_pages as nights
    from fink_k8s.glue.stream import spark_ui

    own = {route.path for router in (nights.router, spark_ui.router) for route in router.routes}
    others = {getattr(route, "path", None) for route in app.routes} - own - {None}
    return own | others


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where reports are kept that Airflow's web server can read."""
    monkeypatch.setenv("FINK_DIAGNOSIS_DIR", str(tmp_path))
    return tmp_path


def keep(facts):
    from fink_k8s.adapters.store.archive import keep_report
    from fink_k8s.core.config.settings import load_settings
    from fink_k8s.glue.night import night_pages as nights

    keep_report(facts, load_settings(), lambda: nights.store(None))


def test_the_report_of_a_night_is_shown_with_its_picture(client, folder):
    keep(facts_of(STREAM, restarts=(restart(cause="<script>alert(1)</script>"),)))
    answer = client.get(f"/nights/{STREAM}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "1,234 alerts read = 1,230 stored + 4 set aside" in answer.text
    assert "<svg" in answer.text
    assert "<script" not in answer.text


def test_the_pages_load_nothing_run_nothing_and_stay_within_airflow(client, folder):
    keep(facts_of(STREAM))
    for page in ("/nights/", f"/nights/{STREAM}"):
        answer = client.get(page)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        styles = re.findall(r"<style>(.*?)</style>", answer.text, re.S)
        assert styles
        for text in styles:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
        assert not re.search(r"""\s(style|on\w+)=|src=|href="(?!\./|stream2raw-)""", answer.text)


def test_what_lies_in_the_store_is_never_shown_as_it_lies_there(client, folder):
    keep(facts_of(STREAM))
    (folder / f"reports/{STREAM}/night.svg").write_text("<svg><script>alert(1)</script></svg>")
    (folder / f"reports/{STREAM}/report.md").write_text("<script>alert(1)</script>")
    assert "alert(1)" not in client.get(f"/nights/{STREAM}").text


def test_the_list_shows_the_latest_nights_and_those_that_cannot_be_read(client, folder):
    keep(facts_of(STREAM))
    keep(facts_of("stream2raw-ztf-20251231"))
    (folder / "reports/stream2raw-ztf-20251231/facts.json").write_text("{")
    text = client.get("/nights/").text
    assert text.index(STREAM) < text.index("stream2raw-ztf-20251231")
    assert "holds no facts of a night" in text


def test_the_list_is_bounded(client, folder):
    for day in range(1, 32):
        keep(facts_of(f"stream2raw-ztf-202510{day:02}"))
    text = client.get("/nights/").text
    assert text.count("<h2>") == 30
    assert "1 earlier nights" in text


@pytest.mark.parametrize(
    "name", ["spark-operator", "stream2raw-xyz-2026", "a" * 63, "..%2f..%2fraw", "%2e%2e"]
)
def test_a_name_that_is_no_stream_has_no_report(client, folder, name):
    assert client.get(f"/nights/{name}").status_code == 404


def test_a_night_that_is_not_over_has_no_report_yet(client, folder):
    answer = client.get(f"/nights/{STREAM}")
    assert answer.status_code == 404
    assert "no report yet" in answer.json()["detail"]


@pytest.mark.parametrize("page", ["/nights/", f"/nights/{STREAM}"])
def test_a_store_that_is_out_of_sight_is_told_with_the_remedy(client, page):
    answer = client.get(page)
    assert answer.status_code == 502
    assert "FINK_STORE_MOUNT" in answer.json()["detail"]


def test_the_menu_leads_to_the_list():
    (view,) = plugin().external_views
    assert view["href"] == "/fink/nights/"
    assert {one.name for one in plugin().operator_extra_links} == {"Spark UI", "Night report"}


def plugin():
    spec = importlib.util.spec_from_file_location("fink_plugin", ROOT / "plugins/fink_plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FinkPlugin

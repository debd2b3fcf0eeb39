"""Fink's own code from the form into an image, and that image as a stream."""

import shutil
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.driving import DEPLOY, application, drivers

pytestmark = [pytest.mark.testbed, pytest.mark.e2e, pytest.mark.timeout(600)]

NIGHT = "20030201"
STREAM = f"stream2raw-ztf-{NIGHT}"
TOPIC = f"image_{time.time():.0f}"
TAG = f"finks-own-{time.time():.0f}"
PROGRAM = "bin/ztf/stream2raw.py"
SCHEMA = "schemas/alert.avsc"


@pytest.fixture(scope="module")
def source(environment):
    """Put code such as Fink's where the testbed's settings allow it; return its name there."""
    code = Path(environment["FINK_SOURCES"]) / f"fink-{TAG}"
    program = code / PROGRAM
    program.parent.mkdir(parents=True)
    job = Path(__file__).with_name("fink_like_job.py").read_text()
    assert "time.sleep(20)" in job
    program.write_text("import idna\n" + job.replace("time.sleep(20)", "time.sleep(600)"))
    (code / "schemas").mkdir()
    (code / SCHEMA).write_text("{}")
    (code / "deps").mkdir()
    (code / "deps/requirements.txt").write_text("idna==3.10\n")
    yield code.name
    shutil.rmtree(code)


@pytest.mark.shows("docs/from-the-command-line.md#code")
def test_finks_own_code_is_built_by_the_form_and_runs_as_the_stream(fink, source, ended):
    image = fink.run("fink_image", fink_source=source, main_file=PROGRAM, image_tag=TAG)
    assert image.state == "success"
    log = image.log("image.fetch_spark")
    assert f"{TAG}: Spark" in log
    assert f"Fink's code from {source}, its requirements: noscience" in log
    reference = image.xcom("image.build_image")
    assert "@sha256:" in reference

    ended.append(STREAM)
    fink.produce(TOPIC, 10)
    form = {"night": NIGHT, "topic": TOPIC, "image_tag": TAG, "schema_file": SCHEMA}
    run = fink.run(DEPLOY, **form, skip=["rbac", "image", "first_batch"])
    assert run.state == "success"
    spec = application(STREAM)["spec"]
    assert spec["image"] == reference
    assert spec["mainApplicationFile"] == f"local:///opt/fink/{PROGRAM}"
    flags = dict(pairwise(spec["arguments"]))
    assert flags["-schema"] == f"/opt/fink/{SCHEMA}"
    assert drivers(STREAM)[0]["status"]["phase"] == "Running"


def test_code_that_no_setting_allows_is_refused_and_nothing_is_made(fink):
    address = "https://example.org/fink-broker"
    run = fink.run("fink_image", fink_source=address, fink_revision="v1")
    assert run.failed() == "image.fetch_spark"
    assert f"fink_source {address} is not below any git address" in run.log("image.fetch_spark")
    assert run.states()["image.build_image"] == "upstream_failed"

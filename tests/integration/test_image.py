"""The image is built in layers, and only those that changed."""

import shutil
import time

import pytest

from fink_k8s.adapters.image.image_build import ensure_image, registry_digest
from fink_k8s.core.config.settings import load_settings
from testbed.places import ROOT

pytestmark = pytest.mark.testbed


@pytest.fixture(scope="module")
def docker(environment):
    import docker

    return docker.APIClient(environment["DOCKER_HOST"], timeout=600)


@pytest.fixture(scope="module")
def build(docker, release, spark_parts):
    settings = load_settings()
    home, jars = spark_parts

    def build(include, say):
        return ensure_image(docker, settings, release, home, jars, include, say)

    return build


def test_nothing_changed_means_nothing_built_and_it_says_so(build):
    first = build(ROOT / "include", print)
    said = []
    second = build(ROOT / "include", said.append)
    assert second.built == ()
    assert second.reference == first.reference
    assert any("built and pushed nothing" in line for line in said)
    repository, _, digest = second.reference.partition("@")
    assert registry_digest(f"{repository}:{second.tag}") == digest


@pytest.mark.shows("docs/from-the-command-line.md#build")
def test_a_change_of_the_job_rebuilds_and_pushes_the_last_layer_alone(build, tmp_path):
    before = build(ROOT / "include", print)
    include = tmp_path / "include"
    for part in ("image", "stream2raw"):
        shutil.copytree(ROOT / "include" / part, include / part)
    with (include / "stream2raw/job.py").open("a") as job:
        job.write(f"# changed by a test at {time.time_ns()}\n")
    said = []
    after = build(include, said.append)
    assert after.built == ("job",)
    assert after.reference != before.reference
    pushed = [line for line in said if line.startswith("pushed ")]
    assert len(pushed) == 2, said  # the layer by its key, and the release's tag
    assert build(ROOT / "include", print).reference == before.reference

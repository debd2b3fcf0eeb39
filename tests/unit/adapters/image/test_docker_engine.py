import os
import tarfile
from dataclasses import replace

import pytest
from docker.errors import APIError, DockerException

from fink_k8s.adapters.image.docker_engine import (
    BuildFailed,
    Engine,
    ImageStage,
    _follow,
    context_of,
)
from fink_k8s.core.base.errors import Unavailable
from fink_k8s.core.image.image_request import ImageAction
from tests.fakes import FakeDocker, FakeRegistry

BASE = "localhost:5000/fink/base:bookworm"


@pytest.fixture
def sources(tmp_path):
    files = {
        "include/image/spark/Dockerfile": "ARG BASE",
        "include/stream2raw/job.py": "print()",
        "include/stream2raw/__pycache__/job.pyc": "bytes",
        "home/bin/spark-submit": "#!/bin/sh",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "home/bin/spark-submit").chmod(0o755)
    return tmp_path


@pytest.fixture
def stage(sources):
    inputs = {"spark": sources / "home", "stream2raw": sources / "include/stream2raw"}
    dockerfile = sources / "include/image/spark/Dockerfile"
    return ImageStage("spark", dockerfile, inputs, "BASE", BASE, "key-of-base")


def append(path):
    path.write_text(path.read_text() + "#")


@pytest.mark.parametrize(
    "change",
    [
        lambda top: append(top / "home/bin/spark-submit"),
        lambda top: append(top / "include/image/spark/Dockerfile"),
        lambda top: (top / "home/bin/spark-submit").chmod(0o644),
        lambda top: (top / "home/bin/more").write_text(""),
        lambda top: (top / "home/bin/spark-submit").rename(top / "home/bin/renamed"),
        lambda top: (top / "include/stream2raw/job.py").unlink(),
    ],
    ids=["content", "Dockerfile", "mode", "new file", "name", "file away"],
)
def test_the_key_changes_with_what_goes_into_the_image(stage, sources, change):
    before = stage.key
    change(sources)
    assert replace(stage).key != before
    assert stage.key == before, "a build goes on under the name that it began with"


def test_the_key_changes_with_the_parent(stage):
    keys = {
        stage.key,
        replace(stage, parent_key="another").key,
        replace(stage, parent_argument="OTHER").key,
    }
    assert len(keys) == 3


def test_the_key_does_not_change_with_times_and_caches(stage, sources):
    before = stage.key
    os.utime(sources / "home/bin/spark-submit", (1, 1))
    (sources / "include/stream2raw/__pycache__/more.pyc").write_text("more")
    assert replace(stage).key == before


def test_the_key_is_a_legal_end_of_a_tag(stage):
    assert len(stage.key) == 12
    assert int(stage.key, 16) >= 0


def test_the_same_inputs_give_the_same_context(stage, sources):
    with context_of(stage) as first:
        before = first.read()
    os.utime(sources / "home/bin/spark-submit", (1, 1))
    with context_of(stage) as second:
        assert second.read() == before


def test_the_context_holds_all_inputs_with_their_modes(stage):
    with context_of(stage) as context, tarfile.open(fileobj=context) as tar:
        assert {info.name: info.mode for info in tar} == {
            "Dockerfile": 0o644,
            "spark/bin/spark-submit": 0o755,
            "stream2raw/job.py": 0o644,
        }
        assert tar.extractfile("stream2raw/job.py").read() == b"print()"


def test_lines_are_passed_on_as_they_come():
    said = []

    def events():
        yield {"stream": "Step 1/2 : FROM base\n"}
        assert said == ["Step 1/2 : FROM base"]
        yield {"stream": "\n"}
        yield {"status": "Pushing", "progressDetail": {"current": 1}}
        yield {"status": "Waiting"}
        yield {"status": "latest: digest: sha256:1", "progressDetail": {}}
        yield {"aux": {"ID": "sha256:1"}}

    _follow(events(), said.append)
    assert said == ["Step 1/2 : FROM base", "latest: digest: sha256:1"]


def test_a_build_that_failed_ends_with_the_last_lines():
    said = []
    lines = [{"stream": f"line {number}\n"} for number in range(8)]
    with pytest.raises(BuildFailed) as caught:
        _follow([*lines, {"error": "exit code 1"}, {"stream": "never"}], said.append)
    last = "line 3 | line 4 | line 5 | line 6 | line 7"
    assert str(caught.value) == f"exit code 1; last output: {last}"
    assert said == [f"line {number}" for number in range(8)]


def test_a_checkout_below_a_folder_named_like_a_cache_is_not_empty(tmp_path):
    top = tmp_path / ".pycharm/main/stream2raw"
    top.mkdir(parents=True)
    (top / "job.py").write_text("print()")
    (top / "Dockerfile").write_text("FROM base")
    stage = ImageStage("job", top / "Dockerfile", {"stream2raw": top}, "BASE", BASE, "key")
    with context_of(stage) as context, tarfile.open(fileobj=context) as tar:
        assert "stream2raw/job.py" in tar.getnames()


def test_another_label_is_another_image(stage):
    assert replace(stage, labels={"org.opencontainers.image.revision": "x"}).key != stage.key


def test_a_link_stays_a_link_and_brings_no_file_of_the_worker_along(stage, sources, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("canary")
    before = stage.key
    (sources / "include/stream2raw/link").symlink_to(secret)
    (sources / "include/stream2raw/folder").symlink_to(sources / "home")
    assert replace(stage).key != before
    with context_of(stage) as context:
        assert b"canary" not in context.read()
        context.seek(0)
        with tarfile.open(fileobj=context) as tar:
            assert tar.getmember("stream2raw/link").issym()
            assert "stream2raw/folder/bin/spark-submit" not in tar.getnames()


def test_a_repositorys_own_files_of_git_are_left_out(stage, sources):
    before = stage.key
    (sources / "include/stream2raw/.git").mkdir()
    (sources / "include/stream2raw/.git/config").write_text("token")
    assert stage.key == before


def test_a_container_is_removed_when_its_command_fails():
    docker = FakeDocker(FakeRegistry({}))
    docker.local["image"] = "id"
    docker.said = "no module"
    docker.wait = lambda container, timeout: {"StatusCode": 1}
    with pytest.raises(BuildFailed, match="python3 in image ended with 1: no module"):
        Engine(docker, "r", None, print).output_of("image", ("python3", "-c", "x"))
    assert docker.done == [("run", "python3"), ("remove", "python3")]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (APIError("dockerfile parse error line 3"), BuildFailed, "rejected it: .*line 3"),
        (DockerException("connection aborted"), Unavailable, "does not answer: .*DOCKER_HOST"),
        (ConnectionResetError("reset"), Unavailable, "does not answer: reset"),
    ],
)
def test_an_engine_that_refuses_or_is_away_is_told_in_our_words(stage, error, kind, words):
    docker = FakeDocker(FakeRegistry({BASE: "id"}))

    def build(**_):
        raise error

    docker.build = build
    with pytest.raises(kind, match=words):
        Engine(docker, "r", None, print).ensure([stage], ImageAction.BUILD)

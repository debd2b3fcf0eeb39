import hashlib
import os
import tarfile
from dataclasses import replace

import httpx
import pytest

from fink_k8s.adapters.images import (
    BuildFailed,
    Stage,
    _follow,
    context_of,
    ensure_image,
    registry_digest,
    resolve,
)
from fink_k8s.core.errors import InvalidRequest, Unavailable
from fink_k8s.core.releases import Release
from fink_k8s.core.settings import Settings

REPOSITORY = "localhost:5000/fink/stream2raw"
BASE = "localhost:5000/fink/base:bookworm"
SETTINGS = Settings(image_repository=REPOSITORY, image_base=BASE)
RELEASE = Release(
    fink="4.0",
    spark="3.5.7",
    scala="2.12",
    java=17,
    kubernetes=({"verdict": "tested", "reason": "it ran"},),
)


def digest_of(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Registry:
    """A registry as its HEAD requests show it: image -> digest."""

    def __init__(self):
        self.images = {BASE: digest_of("base")}
        self.status = None
        self.asked = []

    def head(self, address, **_):
        self.asked.append(address)
        host, _, rest = address.partition("://")[2].partition("/v2/")
        name, _, tag = rest.partition("/manifests/")
        digest = self.images.get(f"{host}/{name}:{tag}")
        status = self.status or (200 if digest else 404)
        return httpx.Response(status, headers={"docker-content-digest": digest or ""})


class Docker:
    """A Docker engine with its own images, beside a registry."""

    def __init__(self, registry):
        self.registry = registry
        self.local = {}
        self.done = []

    def images(self, name, quiet):
        return ["id"] if name in self.local else []

    def pull(self, repository, tag, **_):
        image = f"{repository}:{tag}"
        self.local[image] = self.registry.images[image]
        self.done.append(("pull", image))
        return [{"status": "Downloaded"}]

    def build(self, fileobj, tag, buildargs, **options):
        assert set(buildargs.values()) <= set(self.local)
        assert options["network_mode"] == "none"
        self.local[tag] = digest_of(tag)
        self.done.append(("build", tag))
        return [{"stream": "Step 1/3 : FROM base\n"}]

    def tag(self, image, repository, tag):
        self.local[f"{repository}:{tag}"] = self.local[image]

    def push(self, repository, tag, **_):
        image = f"{repository}:{tag}"
        self.registry.images[image] = self.local[image]
        self.done.append(("push", image))
        return [{"status": "Pushed"}]


@pytest.fixture
def registry(monkeypatch):
    made = Registry()
    monkeypatch.setattr(httpx, "head", made.head)
    return made


@pytest.fixture
def sources(tmp_path):
    files = {
        "include/image/spark/Dockerfile": "ARG BASE",
        "include/image/stream2raw/Dockerfile": "ARG SPARK_IMAGE",
        "include/image/entrypoint.sh": "#!/bin/sh",
        "include/stream2raw/job.py": "print()",
        "include/stream2raw/__pycache__/job.pyc": "bytes",
        "home/bin/spark-submit": "#!/bin/sh",
        "jars/spark-avro.jar": "jar",
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
    return Stage("spark", dockerfile, inputs, "BASE", BASE, "key-of-base")


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
    assert stage.key != before


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
    assert stage.key == before


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
    assert str(caught.value) == f"exit code 1; it said last: {last}"
    assert said == [f"line {number}" for number in range(8)]


@pytest.mark.parametrize(
    ("image", "address"),
    [
        (BASE, "http://localhost:5000/v2/fink/base/manifests/bookworm"),
        ("127.0.0.1/a:b", "http://127.0.0.1/v2/a/manifests/b"),
        ("ghcr.io/a/b/c:1_2", "https://ghcr.io/v2/a/b/c/manifests/1_2"),
    ],
)
def test_only_a_registry_on_this_machine_is_asked_without_tls(registry, image, address):
    registry_digest(image)
    assert registry.asked == [address]


def test_the_registry_tells_a_digest_or_that_there_is_none(registry):
    assert registry_digest(BASE) == digest_of("base")
    assert registry_digest(f"{REPOSITORY}:none") is None


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_registry_that_refuses_is_not_one_without_the_image(registry, status):
    registry.status = status
    with pytest.raises(Unavailable, match=f"localhost:5000 answers {status} for fink/base"):
        registry_digest(BASE)


def test_a_registry_that_is_away_is_unavailable(monkeypatch):
    def head(*_, **__):
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(httpx, "head", head)
    with pytest.raises(Unavailable, match=r"localhost:5000 does not answer: connection refused"):
        registry_digest(BASE)


def test_a_tag_is_resolved_to_its_digest(registry):
    registry.images[f"{REPOSITORY}:4.0_3.5.7"] = digest_of("image")
    assert resolve(REPOSITORY, "4.0_3.5.7") == f"{REPOSITORY}@{digest_of('image')}"


def test_a_digest_is_taken_as_it_is(registry):
    assert resolve(REPOSITORY, digest_of("x")) == f"{REPOSITORY}@{digest_of('x')}"
    assert registry.asked == []


def test_a_tag_that_is_not_there_is_named_with_the_remedy(registry):
    with pytest.raises(InvalidRequest, match=r"stream2raw:1\.0 is not in the registry.*fink_image"):
        resolve(REPOSITORY, "1.0")


@pytest.fixture
def ensure(registry, sources):
    """Run ensure_image with a new engine; return its result, what the engine did, and lines."""

    def run(settings=SETTINGS, engine=Docker):
        docker, said = engine(registry), []
        home, jars, include = sources / "home", sources / "jars", sources / "include"
        result = ensure_image(docker, settings, RELEASE, home, jars, include, said.append)
        return result, docker.done, said

    return run


def built(done):
    return [tag.rpartition(":")[2].partition("-")[0] for what, tag in done if what == "build"]


def test_the_first_run_builds_both_stages_and_tags_the_release(ensure, registry):
    result, done, _ = ensure()
    assert result.built == ("spark", "job")
    assert built(done) == ["spark", "job"]
    assert result.tag == "4.0_3.5.7"
    assert result.reference == f"{REPOSITORY}@{registry.images[f'{REPOSITORY}:4.0_3.5.7']}"


def test_a_second_run_builds_and_pushes_nothing(ensure):
    first, _, _ = ensure()
    result, done, said = ensure()
    assert (result.reference, result.built, done) == (first.reference, (), [])
    assert said[0].startswith("already so")


def test_a_change_of_the_job_builds_the_job_only(ensure, sources):
    first, _, _ = ensure()
    append(sources / "include/stream2raw/job.py")
    result, done, _ = ensure()
    assert result.built == ("job",)
    assert built(done) == ["job"]
    assert result.reference != first.reference
    assert resolve(REPOSITORY, "4.0_3.5.7") == result.reference


def test_a_change_of_spark_builds_both(ensure, sources):
    ensure()
    append(sources / "jars/spark-avro.jar")
    assert ensure()[0].built == ("spark", "job")


def test_another_base_under_the_same_tag_builds_both(ensure, registry):
    ensure()
    registry.images[BASE] = digest_of("base with security fixes")
    assert ensure()[0].built == ("spark", "job")


def test_a_tag_that_was_moved_is_moved_back(ensure, registry):
    first, _, _ = ensure()
    registry.images[f"{REPOSITORY}:4.0_3.5.7"] = digest_of("someone else's")
    result, done, _ = ensure()
    assert result.built == ()
    assert ("push", f"{REPOSITORY}:4.0_3.5.7") in done
    assert resolve(REPOSITORY, "4.0_3.5.7") == first.reference


@pytest.mark.parametrize("field", ["image_repository", "image_base"])
def test_a_setting_that_is_missing_is_named(ensure, field):
    with pytest.raises(InvalidRequest, match=f"FINK_{field.upper()} is not set"):
        ensure(SETTINGS.model_copy(update={field: ""}))


def test_a_checkout_below_a_folder_named_like_a_cache_is_not_empty(tmp_path):
    top = tmp_path / ".pycharm/main/stream2raw"
    top.mkdir(parents=True)
    (top / "job.py").write_text("print()")
    (top / "Dockerfile").write_text("FROM base")
    stage = Stage("job", top / "Dockerfile", {"stream2raw": top}, "BASE", BASE, "key")
    with context_of(stage) as context, tarfile.open(fileobj=context) as tar:
        assert "stream2raw/job.py" in tar.getnames()


def test_a_base_by_its_digest_is_pulled_by_its_digest(ensure, registry):
    base = f"localhost:5000/fink/base@{digest_of('base')}"
    registry.images[base] = digest_of("base")
    pulled = []

    class ByDigest(Docker):
        def pull(self, repository, tag, **_):
            pulled.append((repository, tag))
            self.local[base] = digest_of("base")
            return []

    ensure(SETTINGS.model_copy(update={"image_base": base}), ByDigest)
    assert pulled == [("localhost:5000/fink/base", digest_of("base"))]
    address = f"http://localhost:5000/v2/fink/base/manifests/{digest_of('base')}"
    assert registry.asked[0] == address

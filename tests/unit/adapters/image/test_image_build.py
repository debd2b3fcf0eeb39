import httpx
import pytest

from fink_k8s.adapters.image.image_build import ensure_image, resolve
from fink_k8s.core.base.errors import InvalidRequest, Refused, Unavailable
from fink_k8s.core.config.releases import Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.image.image_request import ImageAction, ImageRequest
from tests.fakes import FakeDocker, FakeRegistry, digest_of

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


@pytest.fixture
def registry(monkeypatch):
    made = FakeRegistry({BASE: digest_of("base")})
    monkeypatch.setattr(httpx, "head", made.head)
    return made


@pytest.fixture
def sources(tmp_path):
    files = {
        "include/image/spark/Dockerfile": "ARG BASE",
        "include/image/stream2raw/Dockerfile": "ARG SPARK_IMAGE",
        "include/image/base/Dockerfile": "ARG SPARK_IMAGE",
        "include/image/fink/Dockerfile": "ARG SPARK_IMAGE",
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


def append(path):
    path.write_text(path.read_text() + "#")


@pytest.fixture
def ensure(registry, sources):
    """Run ensure_image with a new engine; return its result, what the engine did, and lines."""

    def run(settings=SETTINGS, engine=FakeDocker, docker=None, **form):
        docker, said = docker or engine(registry), []
        home, jars, include = sources / "home", sources / "jars", sources / "include"
        settings = settings.model_copy(update={"cache_dir": sources / "cache"})
        result = ensure_image(
            docker, settings, RELEASE, home, jars, include, said.append, ImageRequest(**form)
        )
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
    assert said[0].startswith("unchanged")


def test_a_push_that_the_registry_does_not_show_is_no_image(ensure):
    class Forgetful(FakeDocker):
        def push(self, *_, **__):
            return iter(())

    with pytest.raises(Unavailable, match="the registry does not have it; trigger again"):
        ensure(engine=Forgetful)


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


def test_a_base_by_its_digest_is_pulled_by_its_digest(ensure, registry):
    base = f"localhost:5000/fink/base@{digest_of('base')}"
    registry.images[base] = digest_of("base")
    pulled = []

    class ByDigest(FakeDocker):
        def pull(self, repository, tag, **_):
            pulled.append((repository, tag))
            self.local[base] = digest_of("base")
            return []

    ensure(SETTINGS.model_copy(update={"image_base": base}), ByDigest)
    assert pulled == [("localhost:5000/fink/base", digest_of("base"))]
    address = f"http://localhost:5000/v2/fink/base/manifests/{digest_of('base')}"
    assert registry.asked[0] == address


FINK = "localhost:5000/fink/stream2raw:fink-"


@pytest.fixture
def allowed(sources):
    """Settings that allow the folder `code`, which holds Fink's code and its requirements."""
    code = sources / "code/fink"
    (code / "bin").mkdir(parents=True)
    (code / "bin/stream2raw.py").write_text("print('fink')")
    return SETTINGS.model_copy(update={"sources": str(sources / "code")})


def test_built_alone_is_pushed_by_a_run_of_its_own(ensure, registry):
    docker = FakeDocker(registry)
    result, done, _ = ensure(docker=docker, image_action=ImageAction.BUILD)
    assert built(done) == ["spark", "job"]
    assert "push" not in {what for what, _ in done}
    assert result.reference.startswith(f"{REPOSITORY}:job-")
    docker.done.clear()
    pushed, done, _ = ensure(docker=docker, image_action=ImageAction.PUSH)
    assert built(done) == []
    assert pushed.built == ()
    tags = [image.rpartition(":")[2].partition("-")[0] for what, image in done if what == "push"]
    assert tags == ["spark", "job", "4.0_3.5.7"]
    assert resolve(REPOSITORY, "4.0_3.5.7") == pushed.reference


def test_what_was_not_built_is_not_pushed(ensure):
    with pytest.raises(InvalidRequest, match="image_action build and the same values first"):
        ensure(image_action=ImageAction.PUSH)


def test_into_minikube_a_second_run_builds_nothing(ensure, registry):
    docker = FakeDocker(registry)
    first, _, _ = ensure(docker=docker, image_action=ImageAction.MINIKUBE)
    docker.done.clear()
    result, done, said = ensure(docker=docker, image_action=ImageAction.MINIKUBE)
    assert (result.reference, result.built, done) == (first.reference, (), [])
    assert "is in the Docker engine; built nothing" in said[0]


def test_minikube_needs_no_registry_where_it_has_the_base(ensure, registry, monkeypatch):
    docker = FakeDocker(registry)
    docker.local[BASE] = digest_of("base")

    def away(*_, **__):
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(httpx, "head", away)
    result, _, _ = ensure(docker=docker, image_action=ImageAction.MINIKUBE)
    assert result.built == ("spark", "job")
    with pytest.raises(Unavailable):
        ensure(docker=docker)


def test_the_tag_is_the_forms(ensure, registry):
    result, _, _ = ensure(image_tag="mine")
    assert result.tag == "mine"
    assert resolve(REPOSITORY, "mine") == result.reference


def test_finks_code_stands_in_for_the_job_and_says_which_program_it_is(ensure, registry, allowed):
    docker = FakeDocker(registry)
    result, _, _ = ensure(allowed, docker=docker, fink_source="fink", fink_requirements="none")
    assert result.built == ("spark", "fink")
    image = next(image for image in docker.labels if image.startswith(FINK))
    assert docker.contexts[image] == ["Dockerfile", "fink/bin/stream2raw.py"]
    assert docker.labels[image]["fink.main-file"] == "/opt/fink/bin/stream2raw.py"
    assert docker.labels[image]["org.opencontainers.image.source"] == "fink"


def test_a_change_of_finks_code_builds_that_stage_alone(ensure, sources, allowed):
    ensure(allowed, fink_source="fink", fink_requirements="none")
    append(sources / "code/fink/bin/stream2raw.py")
    result, _, _ = ensure(allowed, fink_source="fink", fink_requirements="none")
    assert result.built == ("fink",)


def test_packages_make_a_stage_of_their_own_below_the_code(ensure, sources, allowed, monkeypatch):
    asked = []

    def packages(settings, files, target, say):
        asked.append(([file.name for file in files], target()))
        folder = sources / "packages"
        (folder / "idna").mkdir(parents=True, exist_ok=True)
        (folder / "idna/core.py").write_text("")
        return folder

    monkeypatch.setattr("fink_k8s.adapters.image.image_build.ensure_packages", packages)
    (sources / "code/fink/deps").mkdir()
    (sources / "code/fink/deps/requirements.txt").write_text("idna")
    first, done, _ = ensure(allowed, fink_source="fink")
    assert first.built == ("spark", "base", "fink")
    assert asked[0][0] == ["requirements.txt"]
    assert asked[0][1].python == "3.11"
    assert ("run", "python3") in done
    _, done, _ = ensure(allowed, fink_source="fink")
    assert done == []  # not even asked once more which Python it has
    append(sources / "code/fink/bin/stream2raw.py")
    assert ensure(allowed, fink_source="fink")[0].built == ("fink",)


@pytest.fixture
def own(sources):
    """Settings that allow Dockerfiles of one's own, and the folder of one."""
    folder = sources / "dockerfiles/mine"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("ARG SPARK_IMAGE\nFROM ${SPARK_IMAGE}\n")
    (folder / "extra.conf").write_text("x")
    return SETTINGS.model_copy(update={"dockerfiles": str(folder.parent)}), folder


def test_a_dockerfile_of_ones_own_has_its_files_and_the_job(ensure, registry, own):
    docker = FakeDocker(registry)
    result, _, _ = ensure(own[0], docker=docker, dockerfile="mine")
    assert result.built == ("spark", "own")
    image = next(image for image in docker.labels if ":own-" in image)
    assert docker.contexts[image] == ["Dockerfile", "extra.conf", "stream2raw/job.py"]
    append(own[1] / "extra.conf")
    assert ensure(own[0], dockerfile="mine")[0].built == ("own",)


def test_a_dockerfile_on_something_else_is_refused_before_anything_is_built(ensure, own, registry):
    (own[1] / "Dockerfile").write_text("FROM debian")
    docker = FakeDocker(registry)
    with pytest.raises(InvalidRequest, match=r"start it with the lines ARG SPARK_IMAGE"):
        ensure(own[0], docker=docker, dockerfile="mine")
    assert docker.done == []


@pytest.mark.parametrize("name", ["other", "mine/extra.conf"])
def test_a_dockerfile_that_is_not_there_is_named(ensure, own, name):
    with pytest.raises((Refused, InvalidRequest), match=r"put it "):
        ensure(own[0], dockerfile=name)


def test_a_link_out_of_the_folder_of_dockerfiles_is_refused(ensure, own, sources):
    (sources / "dockerfiles/away").symlink_to(sources / "home")
    with pytest.raises(
        Refused, match="is a link that leads out of the folders in FINK_DOCKERFILES"
    ):
        ensure(own[0], dockerfile="away")

import pytest

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.config.releases import Release
from fink_k8s.core.config.settings import Settings
from fink_k8s.core.night.night_request import NightRequest
from fink_k8s.core.stream.stream_request import DeployRequest
from fink_k8s.glue.image import running_image
from fink_k8s.glue.image.running_image import image_to_run
from tests.fakes import FakeDocker, FakeRegistry, digest_of

SETTINGS = Settings(image_repository="r.org/fink")
RELEASE = Release(
    fink="4.0",
    spark="3.5.7",
    scala="2.12",
    java=17,
    kubernetes=({"verdict": "tested", "reason": "ran"},),
)
BUILT = f"r.org/fink@{digest_of('built')}"
OURS = "/opt/fink/stream2raw/bin/stream2raw.py"
FINKS = "/opt/fink/bin/stream2raw.py"


@pytest.fixture(autouse=True)
def places(monkeypatch):
    """A registry and an engine, and which labels the images have."""
    labels = {BUILT: {"fink.main-file": FINKS}}
    docker = FakeDocker(FakeRegistry({}))
    monkeypatch.setattr(running_image, "registry_login", lambda: None)
    monkeypatch.setattr(running_image, "docker_client", lambda: docker)
    monkeypatch.setattr(running_image, "image_labels", lambda image, login: labels.get(image, {}))
    monkeypatch.setattr(
        running_image, "resolve", lambda repository, tag, login: f"{repository}@digest-of-{tag}"
    )
    return docker, labels


def run(built=None, **form):
    return image_to_run(DeployRequest(**form), SETTINGS, RELEASE, built)


def test_what_was_built_runs_with_the_program_that_it_names():
    assert run(BUILT) == (BUILT, FINKS)


def test_an_image_that_names_none_is_ours():
    assert run(f"r.org/fink@{digest_of('old')}")[1] == OURS


def test_without_the_stage_the_tag_is_looked_up(places):
    places[1]["r.org/fink@digest-of-mine"] = {"fink.main-file": FINKS}
    assert run(skip=["image"]) == ("r.org/fink@digest-of-4.0_3.5.7", OURS)
    assert run(skip=["image"], image_tag="mine") == ("r.org/fink@digest-of-mine", FINKS)


def test_an_image_made_elsewhere_runs_the_program_of_the_form():
    form = {"skip": ["image"], "main_file": "/home/fink/bin/stream2raw.py"}
    assert run(**form)[1] == "/home/fink/bin/stream2raw.py"


def test_minikubes_own_image_runs_by_its_tag(places):
    docker, _ = places
    docker.local["r.org/fink:fink-0a1b"] = docker.local["r.org/fink:4.0_3.5.7"] = "id"
    docker.labels["r.org/fink:fink-0a1b"] = {"fink.main-file": FINKS}
    form = {"image_action": "build-in-minikube"}
    assert run("r.org/fink:fink-0a1b", **form) == ("r.org/fink:fink-0a1b", FINKS)
    assert run(skip=["image"], **form) == ("r.org/fink:4.0_3.5.7", OURS)


def test_a_night_runs_minikubes_own_image_where_its_form_says_so(places):
    places[0].local["r.org/fink:4.0_3.5.7"] = "id"
    night = NightRequest(in_minikube=True)
    assert image_to_run(night, SETTINGS, RELEASE, None) == ("r.org/fink:4.0_3.5.7", OURS)


def test_an_image_that_minikube_does_not_have_is_named():
    with pytest.raises(
        InvalidRequest, match=r"4\.0_3\.5\.7 is not in minikube's Docker engine; run"
    ):
        run(skip=["image"], image_action="build-in-minikube")

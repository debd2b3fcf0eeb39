"""Registry, archive and programs, as the doctor asks for them."""

import sys

import httpx
import pytest

from fink_k8s.adapters.preflight import installation
from fink_k8s.core.base.errors import InvalidRequest, Unavailable
from fink_k8s.core.image.image_plan import Login

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def registry(monkeypatch):
    """The digests that the registry has, by image; or the error it gives."""
    known = {"localhost:5000/fink/base:1": DIGEST}

    def registry_digest(image, login):
        known["login"] = login
        if error := known.get("error"):
            raise error
        return known.get(image)

    monkeypatch.setattr(installation, "registry_digest", registry_digest)
    return known


def test_a_registry_without_the_repository_answers_all_the_same(registry):
    assert installation.check_registry("localhost:5000/fink/new") == "localhost:5000 answers"


def test_a_registry_is_asked_with_its_login(registry):
    login = Login("localhost:5000", "fink", "canary")
    installation.check_registry("localhost:5000/fink/new", login)
    assert registry["login"] is login
    installation.check_image("localhost:5000/fink/base:1", login)
    assert registry["login"] is login


def test_a_registry_that_is_away_is_told(registry):
    registry["error"] = Unavailable("registry localhost:5000 does not answer")
    with pytest.raises(Unavailable, match="does not answer"):
        installation.check_registry("localhost:5000/fink/new")


def test_an_image_that_is_there_is_named_with_its_digest(registry):
    assert DIGEST[:19] in installation.check_image("localhost:5000/fink/base:1")


def test_an_image_that_is_not_there_is_refused(registry):
    with pytest.raises(InvalidRequest, match="base:2 is not in its registry; push it"):
        installation.check_image("localhost:5000/fink/base:2")


def test_an_archive_s_file_is_looked_for(tmp_path):
    archive = tmp_path / "spark 3.tgz"
    with pytest.raises(Unavailable, match="does not exist on this worker"):
        installation.check_archive(archive.as_uri())
    archive.touch()
    assert installation.check_archive(archive.as_uri()).endswith(" exists")


@pytest.fixture
def web(monkeypatch):
    """Answer every request by a function of it."""

    def answer_by(handler):
        client = httpx.Client(transport=httpx.MockTransport(handler))
        monkeypatch.setattr(installation.httpx, "stream", client.stream)

    return answer_by


def test_an_archive_s_address_is_asked_for_one_byte(web):
    seen = []

    def handler(request):
        seen.append(request.headers["Range"])
        return httpx.Response(206, content=b"x")

    web(handler)
    assert installation.check_archive("https://archive.example.org/spark.tgz").endswith(" exists")
    assert seen == ["bytes=0-0"]


def test_an_address_that_gives_nothing_is_named(web):
    web(lambda _: httpx.Response(404))
    with pytest.raises(Unavailable, match=r"archive\.example\.org does not provide .*404"):
        installation.check_archive("https://archive.example.org/spark.tgz")


def test_a_program_says_its_version():
    assert installation.check_program([sys.executable, "--version"]).startswith("Python 3.")


def test_a_program_that_is_not_there_is_named():
    with pytest.raises(Unavailable, match="no-such-program is not installed"):
        installation.check_program(["no-such-program", "--version"])


def test_a_program_that_fails_is_named():
    with pytest.raises(Unavailable, match="does not run"):
        installation.check_program([sys.executable, "-c", "raise SystemExit(3)"])

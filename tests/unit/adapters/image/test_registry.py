import httpx
import pytest

from fink_k8s.adapters.image.registry import image_labels, registry_digest, resolve
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Unavailable
from fink_k8s.core.image.image_plan import Login
from tests.fakes import FakeRegistry, digest_of

REPOSITORY = "localhost:5000/fink/stream2raw"
BASE = "localhost:5000/fink/base:bookworm"


@pytest.fixture
def registry(monkeypatch):
    made = FakeRegistry({BASE: digest_of("base")})
    monkeypatch.setattr(httpx, "head", made.head)
    return made


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


@pytest.mark.parametrize("status", [500, 503])
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


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_asks_for_a_login_is_told_from_one_that_is_away(registry, status):
    registry.status = status
    with pytest.raises(NotPermitted, match=f"answers {status} for fink/base; put its login"):
        registry_digest(BASE)


LOGIN = Login("registry.example.org", "fink", "canary-password")
IMAGE = "registry.example.org/fink/stream2raw:1"
REALM = "https://auth.example.org/token"
SCOPE = "repository:fink/stream2raw:pull"


class Guarded:
    """A registry that wants a login, with its authorization service where it gives tokens."""

    def __init__(self, monkeypatch, challenge, config=None):
        self.challenge, self.config = challenge, config
        self.seen = []
        monkeypatch.setattr(httpx, "head", self.call)
        monkeypatch.setattr(httpx, "get", self.call)

    def call(self, address, headers, timeout, params=None, follow_redirects=False):
        authorization = headers.get("Authorization", "")
        self.seen.append((address, authorization))
        if address.startswith(REALM):
            assert params == {"service": "registry", "scope": SCOPE}
            good = authorization in ("", BASIC)
            return httpx.Response(200 if good else 401, json={"token": f"for {authorization}"})
        if authorization not in (BASIC, f"Bearer for {BASIC}"):
            return httpx.Response(401, headers={"WWW-Authenticate": self.challenge})
        if "/blobs/" in address:
            return httpx.Response(200, json={"config": {"Labels": {"fink.main-file": "/a.py"}}})
        return httpx.Response(
            200,
            headers={"docker-content-digest": digest_of("it")},
            json={"config": {"digest": digest_of("config")}},
        )


BASIC = "Basic ZmluazpjYW5hcnktcGFzc3dvcmQ="
BEARER = f'Bearer realm="{REALM}",service="registry",scope="{SCOPE}"'


@pytest.mark.parametrize("challenge", ['Basic realm="registry"', BEARER])
def test_a_login_opens_a_registry_of_either_kind(monkeypatch, challenge):
    Guarded(monkeypatch, challenge)
    assert registry_digest(IMAGE, LOGIN) == digest_of("it")
    assert image_labels(IMAGE, LOGIN) == {"fink.main-file": "/a.py"}


@pytest.mark.parametrize("challenge", ['Basic realm="registry"', BEARER, "Negotiate", ""])
def test_without_the_login_it_stays_shut_and_the_remedy_is_named(monkeypatch, challenge):
    Guarded(monkeypatch, challenge)
    with pytest.raises(NotPermitted, match="put its login into the connection"):
        registry_digest(IMAGE)


def test_a_login_goes_to_its_own_registry_alone(monkeypatch):
    other = Guarded(monkeypatch, 'Basic realm="registry"')
    with pytest.raises(NotPermitted):
        registry_digest("other.example.org/fink/stream2raw:1", LOGIN)
    assert {authorization for _, authorization in other.seen} == {""}


def test_a_password_goes_to_no_authorization_service_without_tls(monkeypatch):
    guarded = Guarded(monkeypatch, BEARER.replace("https://auth", "http://auth"))
    with pytest.raises(NotPermitted):
        registry_digest(IMAGE, LOGIN)
    assert len(guarded.seen) == 1


def test_a_password_is_in_no_text_of_a_login():
    assert "canary" not in f"{LOGIN} {LOGIN!r}"


def test_an_image_that_is_not_there_has_no_labels_but_a_remedy(monkeypatch):
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(404))
    with pytest.raises(InvalidRequest, match="run fink_image"):
        image_labels(IMAGE)


def test_an_image_of_many_platforms_has_no_labels(monkeypatch):
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, json={"manifests": []}))
    assert image_labels(IMAGE) == {}

"""A registry's own API: which digest a tag has, and what labels an image carries.

Where the registry asks for a login it gets one: the password itself (`Basic`), or a token that its
authorization service gives for the password, or to anyone (`Bearer`). See
https://distribution.github.io/distribution/spec/auth/token/
"""

import re
from typing import Any

import httpx

from fink_k8s.core.base.errors import InvalidRequest, NotPermitted, Unavailable
from fink_k8s.core.image.image_plan import Login

_MANIFESTS = ", ".join((
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
))  # fmt: skip
_LOCAL = ("localhost", "127.0.0.1")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_TIMEOUT = 10


def registry_digest(image: str, login: Login | None = None) -> str | None:
    """Return the digest that the registry has for `host/path:tag`, or None where it has none.

    Raises:
        InvalidRequest: the image names no registry.
        NotPermitted: the registry asks for a login, or for another one.
        Unavailable: the registry does not answer.
    """
    repository, tag = parts_of(image)
    answer = _ask("head", repository, f"manifests/{tag}", login)
    return None if answer is None else str(answer.headers["docker-content-digest"])


def resolve(repository: str, tag: str, login: Login | None = None) -> str:
    """Return `repository@digest` of a tag, or of a digest as it is given.

    Raises:
        InvalidRequest: the registry has no such tag.
        NotPermitted: the registry asks for a login, or for another one.
        Unavailable: the registry does not answer.
    """
    if tag.startswith("sha256:"):
        return f"{repository}@{tag}"
    digest = registry_digest(f"{repository}:{tag}", login)
    if digest is None:
        raise InvalidRequest(
            f"image {repository}:{tag} is not in the registry; enter another image_tag, or run "
            "fink_image"
        )
    return f"{repository}@{digest}"


def image_labels(image: str, login: Login | None = None) -> dict[str, str]:
    """Return the labels of an image in the registry; none for one of many platforms.

    Raises:
        InvalidRequest: the registry has no such image.
        NotPermitted: the registry asks for a login, or for another one.
        Unavailable: the registry does not answer.
    """
    repository, tag = parts_of(image)
    manifest = _ask("get", repository, f"manifests/{tag}", login)
    if manifest is None:
        raise InvalidRequest(f"image {image} is not in the registry; run fink_image")
    digest = manifest.json().get("config", {}).get("digest")
    found = _ask("get", repository, f"blobs/{digest}", login) if digest else None
    labels = (found.json().get("config") or {}).get("Labels") if found else None
    return dict(labels or {})


def parts_of(image: str) -> tuple[str, str]:
    """Return repository and tag, or repository and digest."""
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    repository, _, tag = image.rpartition(":")
    return repository, tag


def _ask(method: str, repository: str, path: str, login: Login | None) -> httpx.Response | None:
    """Return the registry's answer, or None where it does not have what is asked for."""
    host, _, name = repository.partition("/")
    if not name:
        raise InvalidRequest(f"image {repository} does not name a registry; use host/path:tag")
    address = f"{_scheme(host)}://{host}/v2/{name}/{path}"
    try:
        answer = _call(method, address, {"Accept": _MANIFESTS})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            mine = login if login and login.host == host else None
            if authorization := _authorization(answer, host, mine):
                headers = {"Accept": _MANIFESTS, "Authorization": authorization}
                answer = _call(method, address, headers)
    except httpx.HTTPError as error:
        raise Unavailable(
            f"registry {host} does not answer: {error}; check that it is running"
        ) from error
    match answer.status_code:
        case httpx.codes.OK:
            return answer
        case httpx.codes.NOT_FOUND:
            return None
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN as status:
            raise NotPermitted(
                f"registry {host} answers {status} for {name}; put its login into the "
                f"connection docker_default: host {host}, login, password"
            )
        case status:
            raise Unavailable(f"registry {host} answers {status} for {name}; see its log")


def _authorization(answer: httpx.Response, host: str, login: Login | None) -> str | None:
    """Return the header that the registry asks for; None where we have nothing to show."""
    challenge = answer.headers.get("www-authenticate", "")
    if challenge.lower().startswith("basic"):
        return _basic(login) if login else None
    if not challenge.lower().startswith("bearer"):
        return None
    asked = dict(_PARAMETER.findall(challenge))
    realm = asked.pop("realm", "")
    # The registry names its authorization service; a password goes there only under TLS.
    if _scheme(host) == "https" and not realm.startswith("https://"):
        return None
    headers = {"Authorization": _basic(login)} if login else {}
    query = {key: asked[key] for key in ("service", "scope") if key in asked}
    given = _call("get", realm, headers, params=query)
    if given.status_code != httpx.codes.OK:
        return None
    token = given.json().get("token") or given.json().get("access_token")
    return f"Bearer {token}" if token else None


def _call(method: str, address: str, headers: dict[str, str], **options: Any) -> httpx.Response:
    # What leads elsewhere (blobs do) is followed by GET, which takes the login to its host alone.
    if method == "get":
        options["follow_redirects"] = True
    answer: httpx.Response = getattr(httpx, method)(
        address, headers=headers, timeout=_TIMEOUT, **options
    )
    return answer


def _basic(login: Login) -> str:
    request = httpx.Request("GET", "http://localhost")
    return str(
        next(httpx.BasicAuth(login.user, login.password).auth_flow(request)).headers[
            "Authorization"
        ]
    )


def _scheme(host: str) -> str:
    return "http" if host.split(":")[0] in _LOCAL else "https"

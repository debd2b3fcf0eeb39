"""The options of the image stage, on a real Docker engine and real registries."""

import base64
import crypt
import io
import json
import subprocess
import tarfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.image.image_build import ensure_image, registry_digest, resolve
from fink_k8s.adapters.image.registry import image_labels
from fink_k8s.adapters.stream.rights import ensure_rights
from fink_k8s.core.base.errors import InvalidRequest, NotPermitted
from fink_k8s.core.config.releases import Jar, releases_from
from fink_k8s.core.config.settings import load_settings
from fink_k8s.core.image.image_plan import Login
from fink_k8s.core.image.image_request import ImageAction, ImageRequest
from fink_k8s.core.stream.manifests import make_spark_application
from fink_k8s.core.stream.stream_request import RbacMode, StreamRequest
from fink_k8s.glue.base.connections import docker_engine
from testbed.certificates import Authority
from testbed.node import kubectl
from testbed.places import ROOT, STATE
from testbed.process import start, stop, wait_for

pytestmark = [pytest.mark.testbed, pytest.mark.timeout(180)]

TOKENS = "127.0.0.1:5011"
PRIVATE = "127.0.0.1:5010"
REMOTE = "127.0.0.1:23760"
LOGIN = Login(PRIVATE, "fink", "canary-of-the-registry")
RELEASE = releases_from((ROOT / "include/releases.yaml").read_text()).get()


def asks_for_login(registry):
    """Tell whether a registry is up, and gives nothing to a stranger."""
    return httpx.get(f"http://{registry}/v2/").status_code == 401


@pytest.fixture(scope="module")
def docker(environment):
    import docker

    return docker.APIClient(environment["DOCKER_HOST"], timeout=600)


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """What stands in for Spark, and places of code, Dockerfiles and packages of one's own."""
    top = tmp_path_factory.mktemp("image")
    files = {
        "home/bin/spark-submit": f"made by a test at {time.time_ns()}",
        "jars/spark-avro.jar": "jar",
        "sources/fink/bin/stream2raw.py": "import idna, fink_broker; print(idna.__version__)\n",
        "sources/fink/fink_broker/__init__.py": "",
        "sources/fink/deps/requirements.txt": "idna==3.10  # a small wheel\n",
        "dockerfiles/mine/Dockerfile": "ARG SPARK_IMAGE\nFROM ${SPARK_IMAGE}\n"
        "COPY mine.conf /opt/mine.conf\nCOPY stream2raw /opt/fink/stream2raw\n",
        "dockerfiles/mine/mine.conf": "mine",
        # Stages without a RUN: nothing but files, for an engine that has no base with a shell.
        "include/image/spark/Dockerfile": "ARG BASE\nFROM ${BASE}\nCOPY spark /opt/spark\n",
        "include/image/stream2raw/Dockerfile": "ARG SPARK_IMAGE\nFROM ${SPARK_IMAGE}\n"
        "COPY stream2raw /opt/fink/stream2raw\n",
        "include/image/entrypoint.sh": "",
        "include/stream2raw/job.py": "",
    }
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code = top / "sources/fink"
    git(code, "init", "--quiet", "--initial-branch=main")
    git(code, "add", ".")
    commit(code, "first")
    git(code, "tag", "v1")
    (code / "bin/later.py").write_text("")
    git(code, "add", ".")
    commit(code, "second")
    return top


def git(folder, *words):
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder, message):
    who = ("-c", "user.name=fink", "-c", "user.email=fink@example.org")
    git(folder, *who, "commit", "--quiet", "-m", message)


@pytest.fixture(scope="module")
def build(docker, things):
    """Build with the testbed's settings and some of one's own; return the result and the lines."""
    standard = load_settings().model_copy(
        update={
            "image_repository": "localhost:5000/fink/options",
            "cache_dir": things / "cache",
            "sources": f"{things}/sources,file://{things}/sources",
            "dockerfiles": str(things / "dockerfiles"),
        }
    )

    def build(
        docker=docker,
        include=ROOT / "include",
        login=None,
        settings=None,
        release=RELEASE,
        **form,
    ):
        said = []
        chosen = standard.model_copy(update=settings or {})
        home, jars = things / "home", things / "jars"
        request = ImageRequest(**form)
        arguments = (docker, chosen, release, home, jars, include, said.append, request, login)
        return ensure_image(*arguments), said

    return build


def files_of(docker, image, path):
    """Return the files below a path of an image, by name, without running it."""
    docker.pull(image)
    container = docker.create_container(image, command="none")
    try:
        stream, _ = docker.get_archive(container, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            return {
                info.name: tar.extractfile(info).read().decode(errors="replace")
                for info in tar
                if info.isfile()
            }
    finally:
        docker.remove_container(container)


def output_of(docker, image):
    """Return what stream2raw of the image prints, run as the cluster does."""
    host = docker.create_host_config(network_mode="none", read_only=True)
    program = image_labels(image)["fink.main-file"]
    environment = ["PYTHONPATH=/opt/fink"]  # the entrypoint sets it
    container = docker.create_container(
        image, entrypoint=["python3", program], host_config=host, environment=environment
    )
    try:
        docker.start(container)
        docker.wait(container)
        return docker.logs(container).decode()
    finally:
        docker.remove_container(container)


@pytest.mark.shows("docs/from-the-command-line.md#code")
def test_finks_code_at_a_revision_with_its_requirements_runs_and_is_built_once(
    build, docker, things
):
    form = {"fink_source": f"file://{things}/sources/fink", "fink_revision": "v1"}
    result, _ = build(**form)
    assert result.built == ("spark", "base", "fink")
    files = files_of(docker, result.reference, "/opt/fink")
    assert files["fink/bin/stream2raw.py"].startswith("import idna")
    assert "fink/bin/later.py" not in files  # that came after v1
    assert output_of(docker, result.reference) == "3.10\n"
    revision = git(things / "sources/fink", "rev-parse", "v1")
    assert image_labels(result.reference)["org.opencontainers.image.revision"] == revision

    again, said = build(**form)
    assert (again.reference, again.built) == (result.reference, ())
    assert any("built and pushed nothing" in line for line in said)
    later, _ = build(**{**form, "fink_revision": "main"})
    assert later.built == ("fink",)
    assert "fink/bin/later.py" in files_of(docker, later.reference, "/opt/fink")


@pytest.mark.shows("docs/from-the-command-line.md#code")
def test_finks_code_from_a_tarball_and_from_a_folder(build, docker, things):
    archive = things / "sources/fink-v1.tar.gz"
    git(things / "sources/fink", "archive", "--prefix=fink-v1/", f"--output={archive}", "v1")
    form = {"fink_requirements": "none"}
    tarball, _ = build(fink_source="fink-v1.tar.gz", **form)
    assert "fink/bin/stream2raw.py" in files_of(docker, tarball.reference, "/opt/fink")
    assert image_labels(tarball.reference)["org.opencontainers.image.revision"].startswith(
        "sha256:"
    )
    folder, _ = build(fink_source="fink", **form)
    names = files_of(docker, folder.reference, "/opt/fink")
    assert "fink/bin/later.py" in names
    assert not any(name.startswith("fink/.git/") for name in names)


@pytest.mark.shows("docs/from-the-command-line.md#code")
def test_a_dockerfile_of_ones_own_and_an_extra_jar(build, docker):
    small = Jar(
        artifact="org.apache.commons:commons-pool2:2.11.1",
        sha256=next(jar.sha256 for jar in RELEASE.jars if "commons-pool2" in jar.artifact),
    )
    settings = {"extra_jars": f"{small.artifact}@sha256:{small.sha256}"}
    form = {"dockerfile": "mine", "extra_jars": [small.artifact]}
    # A release without jars of its own, so that this one is an extra jar.
    plain = RELEASE.model_copy(update={"jars": ()})
    result, _ = build(settings=settings, release=plain, **form)
    assert result.built[-2:] == ("base", "own")
    assert files_of(docker, result.reference, "/opt/mine.conf") == {"mine.conf": "mine"}
    assert f"jars/{small.file}" in files_of(docker, result.reference, "/opt/spark/jars")


@pytest.mark.shows("docs/from-the-command-line.md#build", "docs/from-the-command-line.md#push")
def test_build_and_push_apart(build):
    form = {"image_tag": f"apart-{time.time_ns()}", "dockerfile": "mine"}
    with pytest.raises(InvalidRequest, match="run fink_image with image_action build"):
        build(include=ROOT / "include", image_action=ImageAction.PUSH, fink_source="fink",
              fink_requirements="none", **form)  # fmt: skip
    built, _ = build(image_action=ImageAction.BUILD, **form)
    repository = built.reference.rpartition(":")[0]
    assert registry_digest(f"{repository}:{form['image_tag']}") is None
    pushed, _ = build(image_action=ImageAction.PUSH, **form)
    assert pushed.built == ()
    assert pushed.reference == resolve(repository, form["image_tag"])


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A registry with a login, which containerd on the node knows as one without TLS."""
    folder = tmp_path_factory.mktemp("registry")
    hashed = crypt.crypt(LOGIN.password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**5))
    (folder / "htpasswd").write_text(f"{LOGIN.user}:{hashed}\n")
    (folder / "config.yaml").write_text(json.dumps({
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
        "http": {"addr": PRIVATE},
    }))  # fmt: skip
    hosts = STATE / "containerd/certs.d" / PRIVATE
    hosts.mkdir(exist_ok=True)
    (hosts / "hosts.toml").write_text(f'server = "http://{PRIVATE}"\n[host."http://{PRIVATE}"]\n')
    start("private-registry", ["docker-registry", "serve", folder / "config.yaml"])
    try:
        wait_for("it", lambda: asks_for_login(PRIVATE), 30, "private-registry")
        yield
    finally:
        stop("private-registry")
        (hosts / "hosts.toml").unlink()
        hosts.rmdir()


@pytest.fixture(scope="module")
def in_private(private, build, environment, things):
    """An image in the private registry, pushed with its login."""
    import docker

    engine = docker.APIClient(environment["DOCKER_HOST"], timeout=600)
    engine.login(LOGIN.user, LOGIN.password, registry=PRIVATE)
    settings = {"image_repository": f"{PRIVATE}/fink/stream2raw", "image_base": tiny_base()}
    result, said = build(engine, things / "include", LOGIN, settings)
    assert LOGIN.password not in "".join(said)
    return SimpleNamespace(settings=settings, reference=result.reference, engine=engine)


def tiny_base():
    return "localhost:5000/fink/pause:1"


@pytest.mark.shows("docs/from-the-command-line.md#push")
def test_a_private_registry_takes_and_gives_with_its_login_alone(in_private, build, things):
    repository, _, digest = in_private.reference.partition("@")
    assert registry_digest(f"{repository}:{RELEASE.tag}", LOGIN) == digest
    assert image_labels(in_private.reference, LOGIN)["fink.main-file"].endswith("stream2raw.py")
    again, _ = build(in_private.engine, things / "include", LOGIN, in_private.settings)
    assert again.built == ()
    with pytest.raises(NotPermitted, match=f"connection docker_default: host {PRIVATE}"):
        build(in_private.engine, things / "include", None, in_private.settings)
    wrong = Login(PRIVATE, LOGIN.user, "wrong")
    with pytest.raises(NotPermitted, match="answers 401"):
        registry_digest(f"{repository}:{RELEASE.tag}", wrong)


@pytest.fixture
def granted(in_private, kubernetes):
    """The rights and the pull secret, made as the stage `rbac` makes them."""
    settings = load_settings().model_copy(
        update={**in_private.settings, "image_pull_secret": "fink-registry-of-a-test"}
    )
    cluster, said = Cluster(kubernetes), []
    changed = ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append, LOGIN)
    assert "Secret fink-registry-of-a-test" in changed
    again = ensure_rights(cluster, settings, RbacMode.LEAST_PRIVILEGE, said.append, LOGIN)
    assert "Secret fink-registry-of-a-test" not in again
    assert LOGIN.password not in "".join(said)
    yield SimpleNamespace(cluster=cluster, settings=settings)
    cluster.delete("Secret", settings.image_pull_secret, settings.namespace)


@pytest.mark.shows("docs/from-the-command-line.md#push")
def test_the_cluster_pulls_with_the_pull_secret_and_not_without(granted, in_private):
    def pod(name, secrets):
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True, "runAsUser": 185,
                    "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
        container = {"name": "it", "image": in_private.reference, "imagePullPolicy": "Always",
                     "securityContext": security}  # fmt: skip
        spec = {"containers": [container], "imagePullSecrets": secrets,
                "terminationGracePeriodSeconds": 0}  # fmt: skip
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}

    pods = [pod("no-secret", []), pod("secret", [{"name": granted.settings.image_pull_secret}])]
    space = ("-n", granted.settings.namespace)
    try:
        for one in pods:
            kubectl(*space, "apply", "-f", "-", stdin=json.dumps(one))
        kubectl(*space, "wait", "--for=condition=Ready", "pod/secret", "--timeout=60s")
        refused = wait_for_reason(space, "no-secret")
        assert "401" in refused or "authorization" in refused.lower()
    finally:
        kubectl(*space, "delete", "pod", "no-secret", "secret", "--wait=false")


def wait_for_reason(space, name):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pod = json.loads(kubectl(*space, "get", "pod", name, "-o", "json"))
        for status in pod["status"].get("containerStatuses", []):
            assert "running" not in status["state"]
            waiting = status["state"].get("waiting", {})
            if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff"):
                return waiting["message"]
        time.sleep(0.5)
    pytest.fail(f"{name} was not refused: {pod['status']}")


@pytest.mark.shows("docs/from-the-command-line.md#push")
def test_the_streams_driver_pulls_with_the_pull_secret(granted, in_private):
    settings, cluster = granted.settings, granted.cluster
    request = StreamRequest(night="20030101", topic="image_pull")
    manifest = make_spark_application(request, settings, in_private.reference, RELEASE.spark)
    assert LOGIN.password not in json.dumps(manifest)
    # Another test's pull has left the image on the node; only one that is pulled shows the login.
    manifest["spec"]["imagePullPolicy"] = "Always"
    cluster.delete("SparkApplication", request.stream, settings.namespace)
    cluster.create(manifest)
    space = ("-n", settings.namespace)
    driver = f"{request.stream}-driver"
    try:
        wait_for("the driver", lambda: driver in kubectl(*space, "get", "pods", "-o", "name"), 90)
        pod = json.loads(kubectl(*space, "get", "pod", driver, "-o", "json"))
        assert pod["spec"]["imagePullSecrets"] == [{"name": settings.image_pull_secret}]
        pulled = f'Successfully pulled image "{in_private.reference}"'
        wait_for("the pull", lambda: pulled in events_of(space, driver), 60)
        conf = kubectl(*space, "get", "configmaps", "-o", "yaml")
        # Spark gives its executors what this property names.
        assert f"container.image.pullSecrets={settings.image_pull_secret}" in conf
    finally:
        cluster.delete("SparkApplication", request.stream, settings.namespace)


def events_of(space, name):
    return kubectl(*space, "get", "events", f"--field-selector=involvedObject.name={name}",
                   "-o", "custom-columns=M:.message")  # fmt: skip


@pytest.fixture(scope="module")
def minikube(tmp_path_factory):
    """A Docker engine behind TLS, and the three variables that `minikube docker-env` prints."""
    folder = tmp_path_factory.mktemp("minikube")
    authority = Authority(folder / "pki")
    server, server_key = authority.issue("server", "docker", hosts=("127.0.0.1",))
    client, client_key = authority.issue("client", "minikube")
    certificates = folder / "certs"
    certificates.mkdir()
    for name, source in (
        ("ca.pem", authority.certificate_file), ("cert.pem", client), ("key.pem", client_key)
    ):  # fmt: skip
        (certificates / name).write_bytes(source.read_bytes())
    start("minikube-docker", [
        "dockerd", f"--host=tcp://{REMOTE}", "--tlsverify",
        f"--tlscacert={authority.certificate_file}", f"--tlscert={server}",
        f"--tlskey={server_key}", f"--data-root={folder}/data", f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid", "--iptables=false", "--ip6tables=false", "--bridge=none",
        "--log-level=warn",
    ])  # fmt: skip
    variables = {
        "DOCKER_HOST": f"tcp://{REMOTE}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(certificates),
    }
    try:
        wait_for("Docker", lambda: client_of(variables).ping(), 60, "minikube-docker")
        yield variables
    finally:
        stop("minikube-docker")


def client_of(variables):
    import docker

    try:
        return docker.APIClient(**docker_engine(variables), timeout=60)
    except docker.errors.DockerException as error:
        raise OSError(str(error)) from error


@pytest.mark.shows("docs/from-the-command-line.md#minikube")
def test_into_minikubes_docker_by_its_three_variables_and_nothing_is_pushed(
    minikube, build, things
):
    engine = client_of(minikube)
    settings = {"image_repository": "fink/stream2raw", "image_base": tiny_base()}
    form = {"image_action": ImageAction.MINIKUBE, "image_tag": "mine"}
    result, said = build(engine, things / "include", settings=settings, **form)
    assert engine.images(name=result.reference, quiet=True)
    assert engine.images(name="fink/stream2raw:mine", quiet=True)
    assert not any(line.startswith("pushed") for line in said)
    again, said = build(engine, things / "include", settings=settings, **form)
    assert (again.built, again.reference) == ((), result.reference)
    spec = make_spark_application(
        StreamRequest(night="20030102", topic="t"), load_settings(), result.reference, "3.5.7"
    )["spec"]
    assert (spec["image"], spec["imagePullPolicy"]) == (result.reference, "Never")


def test_minikubes_docker_is_closed_to_who_has_no_certificate(minikube):
    assert client_of(minikube).ping()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://{REMOTE}/_ping", verify=False)


class TokenService(BaseHTTPRequestHandler):
    """The authorization service of a registry: signed tokens for whoever knows the password.

    https://distribution.github.io/distribution/spec/auth/jwt/
    """

    key = certificate = None

    def do_GET(self):
        expected = base64.b64encode(f"{LOGIN.user}:{LOGIN.password}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self.send_response(401)
            self.end_headers()
            return
        query = parse_qs(urlsplit(self.path).query)
        # e.g. repository:fink/tiny:pull,push
        asked = [scope.split(":") for scope in query.get("scope", [])]
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in asked
        ]
        now = int(time.time())
        claims = {"iss": "test", "sub": LOGIN.user, "aud": query["service"][0], "exp": now + 300,
                  "nbf": now - 10, "iat": now, "jti": str(now), "access": access}  # fmt: skip
        body = json.dumps({"token": self.signed(claims)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def signed(self, claims):
        chain = base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()
        header = {"typ": "JWT", "alg": "ES256", "x5c": [chain]}
        text = ".".join(_url(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{_url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def log_message(self, *_):
        """Say nothing on the test's output."""


def _url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory):
    """A registry that takes tokens of an authorization service, as the large public ones do."""
    folder = tmp_path_factory.mktemp("tokens")
    authority = Authority(folder / "pki")
    certificate, key = authority.issue("tokens", "tokens")
    TokenService.certificate = load_pem_x509_certificate(certificate.read_bytes())
    TokenService.key = load_pem_private_key(key.read_bytes(), None)
    service = ThreadingHTTPServer(("127.0.0.1", 0), TokenService)
    Thread(target=service.serve_forever, daemon=True).start()
    (folder / "config.yaml").write_text(json.dumps({
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "auth": {"token": {
            "realm": f"http://127.0.0.1:{service.server_port}/token", "service": "test",
            "issuer": "test", "rootcertbundle": str(authority.certificate_file),
        }},
        "http": {"addr": TOKENS},
    }))  # fmt: skip
    start("token-registry", ["docker-registry", "serve", folder / "config.yaml"])
    try:
        wait_for("it", lambda: asks_for_login(TOKENS), 30, "token-registry")
        yield Login(TOKENS, LOGIN.user, LOGIN.password)
    finally:
        stop("token-registry")
        service.shutdown()


def test_a_registry_that_takes_tokens_is_asked_with_one(with_tokens, environment):
    import docker

    engine = docker.APIClient(environment["DOCKER_HOST"], timeout=60)
    engine.login(LOGIN.user, LOGIN.password, registry=TOKENS)
    engine.pull(*tiny_base().rsplit(":", 1))
    engine.tag(tiny_base(), f"{TOKENS}/fink/tiny", "1")
    assert "digest: sha256:" in engine.push(f"{TOKENS}/fink/tiny", "1")
    reference = resolve(f"{TOKENS}/fink/tiny", "1", with_tokens)
    assert image_labels(reference, with_tokens) == {}
    assert registry_digest(f"{TOKENS}/fink/tiny:2", with_tokens) is None
    for login in (None, Login(TOKENS, LOGIN.user, "wrong")):
        with pytest.raises(NotPermitted, match="answers 401"):
            resolve(f"{TOKENS}/fink/tiny", "1", login)

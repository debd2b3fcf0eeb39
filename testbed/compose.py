"""Airflow for a team on the testbed's Docker engine: `python -m testbed.compose COMMAND ...`.

Prepares what `docker-compose.yaml` needs on a machine that cannot pull images and has no Docker
Compose, then runs the command, e.g. `make up`, with the variables that it needs.
"""

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fink_k8s.adapters.image.distribution import ensure_jars
from fink_k8s.core.config.releases import Release, releases_from
from fink_k8s.core.config.settings import Settings
from testbed import bed, builds, own_images, pins
from testbed.builds import key_of
from testbed.places import (
    DOCKER_SOCKET,
    KUBECONFIG,
    KUBECONFIG_AIRFLOW,
    ROOT,
    SOURCES,
    STATE,
    cache,
)
from testbed.process import TestbedError, run, running, start, wait_for
from testbed.servers import docker, keys

FOLDER = STATE / "compose"
ENV_FILE = FOLDER / "env"
AIRFLOW_UID = 50000  # of the official image
PYTHON = "3.11"
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_SECRET_KEY",
           "AIRFLOW_JWT_SECRET")  # fmt: skip
Say = Callable[[str], None]


def main() -> int:
    """Prepare everything, then replace this process with the command."""
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {line}", file=sys.stderr, flush=True)

    try:
        variables = prepare(say)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    os.chdir(ROOT)
    os.environ.update(variables)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the user's own command


def prepare(say: Say) -> Mapping[str, str]:
    """Build Docker Compose and the images, write the missing files, and return the variables.

    Raises:
        TestbedError: something cannot be made, or the testbed is not up.
    """
    if not running("docker"):
        raise TestbedError("the testbed is not up; run `make testbed`")
    program = builds.compose().ensure(say)
    images = {name: _ensure_image(name, make, say) for name, make in _images().items()}
    for folder in (FOLDER / "sockets", FOLDER / "docker/cli-plugins"):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, FOLDER / "docker/cli-plugins/docker-compose")
    (FOLDER / "docker/config.json").write_text("{}")
    _write_index()
    _write_files_of_airflow(say)
    ENV_FILE.touch(mode=0o600)
    ENV_FILE.write_text(_settings(images))
    registry = FOLDER / "sockets/registry.sock"
    listen = f"UNIX-LISTEN:{registry},fork,mode=666,unlink-early"
    start("compose-registry", ["socat", listen, f"TCP:{pins.REGISTRY}"])
    wait_for("the registry's socket", registry.exists, 10, "compose-registry")
    return {
        "DOCKER_HOST": f"unix://{DOCKER_SOCKET}",
        "DOCKER_CONFIG": str(FOLDER / "docker"),
        "COMPOSE_FILE": "docker-compose.yaml:testbed/compose.yaml",
        "COMPOSE_ENV_FILES": str(ENV_FILE),
    }


def settings() -> dict[str, str]:
    """Return the variables of the testbed's `.env`."""
    lines = ENV_FILE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _settings(images: Mapping[str, str]) -> str:
    """Fill in `.env.example`: its empty and optional values, and the testbed's own values."""
    known = settings() if ENV_FILE.stat().st_size else {}
    access, secret = keys()
    store = f'{{"conn_type": "aws", "login": "{access}", "password": "{secret}"}}'
    values = {name: known.get(name) or secrets.token_urlsafe(48) for name in SECRETS}
    values["AIRFLOW_FERNET_KEY"] = known.get("AIRFLOW_FERNET_KEY") or _fernet_key()
    testbed = bed.environment()
    values |= {name: value for name, value in testbed.items() if name.startswith("FINK_")}
    values |= {
        "FINK_SPARK_URL": f"file:///opt/airflow/cache/{Path(testbed['FINK_SPARK_URL']).name}",
        "FINK_CACHE_VOLUME": str(FOLDER / "cache"),
        "KUBECONFIG_STREAMS": str(FOLDER / "kubeconfig"),
        "KUBECONFIG_ADMIN": str(FOLDER / "kubeconfig-admin"),
        "AIRFLOW_CONN_FINK_STORE": store,
        "DOCKER_SOCKET": str(DOCKER_SOCKET),
        "DOCKER_GID": str(DOCKER_SOCKET.stat().st_gid),
        "AIRFLOW_PORT": str(pins.COMPOSE_PORT),
        "AIRFLOW_URL": f"http://localhost:{pins.COMPOSE_PORT}",
        "AIRFLOW_IMAGE": images["airflow"],
        "POSTGRES_IMAGE": images["postgres"],
        "REDIS_IMAGE": images["redis"],
        "TESTBED_COMPOSE": str(FOLDER),
        "TESTBED_BRIDGE": pins.COMPOSE_BRIDGE,
        "TESTBED_SUBNET": pins.COMPOSE_SUBNET,
    }
    values.pop("FINK_CACHE_DIR")
    example = (ROOT / ".env.example").read_text().splitlines()
    kept = [line for line in example if line.partition("=")[0] not in values]
    return "\n".join([*kept, *(f"{name}={value}" for name, value in values.items()), ""])


def _fernet_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _write_index() -> None:
    """Write the machine's package index and certificate authorities for the build's pip."""
    index = builds.package_index()
    (FOLDER / "pip.conf").write_text(
        f"[global]\nindex-url = {index}\ncert = /run/secrets/ca.pem\ntimeout = 180\n"
    )
    bundle = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(bundle, FOLDER / "ca.pem")


def _write_files_of_airflow(say: Say) -> None:
    """Write kubeconfigs for Airflow's user, and a cache with the archive and the jars."""
    for source, name in ((KUBECONFIG_AIRFLOW, "kubeconfig"), (KUBECONFIG, "kubeconfig-admin")):
        target = FOLDER / name
        target.touch(mode=0o600)
        target.write_bytes(source.read_bytes())
        shutil.chown(target, AIRFLOW_UID)
    folder = FOLDER / "cache"
    if not folder.exists():
        folder.mkdir()
        address = bed.environment()["FINK_SPARK_URL"].replace("{version}", _release().spark)
        archive = Path(address.removeprefix("file://"))
        shutil.copy(archive, folder / archive.name)
        # Containers cannot reach Maven's repository here.
        jars = ensure_jars(Settings(cache_dir=cache()), _release(), say)
        shutil.copytree(jars, folder / "jars" / jars.name)
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, AIRFLOW_UID)


def _release() -> Release:
    return releases_from((ROOT / "include/releases.yaml").read_text()).get("")


def _base() -> str:
    return own_images.BASE.replace("{java}", str(_release().java))


def _images() -> dict[str, Callable[[Path], None]]:
    return {"airflow": _add_airflow, "postgres": lambda _: None, "redis": lambda _: None}


def _ensure_image(name: str, add: Callable[[Path], None], say: Say) -> str:
    """Return an image of the testbed's engine that stands in for an official one."""
    sources = sorted((SOURCES / "images" / name).iterdir())
    more = [ROOT / "requirements.txt"] if name == "airflow" else []
    image = f"fink-testbed/{name}:{key_of([*sources, *more, _base()])}"
    if docker("images", "--quiet", image):
        return image
    say(f"image {image}: building")
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for source in sources:
            shutil.copy(source, context)
        add(context)
        base = f"--build-arg=BASE={_base()}"
        docker("build", "--network=host", base, f"--tag={image}", context)
    return image


def _add_airflow(context: Path) -> None:
    """Install only Airflow, as in the official slim image, into the build's context."""
    home = context / "local"
    site = home / f"lib/python{PYTHON}/site-packages"
    wanted = ["apache-airflow", "pip", f"--constraint={ROOT / 'requirements.txt'}"]
    run("uv", "pip", "install", "--quiet", "--python", PYTHON, "--target", site, *wanted)
    # A virtual environment at its final path, with the Python of the base image.
    shutil.move(site / "bin", home / "bin")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for script in (home / "bin").iterdir():
        lines = script.read_bytes().split(b"\n", 1)
        if lines[0].startswith(b"#!") and b"python" in lines[0]:
            script.write_bytes(b"#!/home/airflow/.local/bin/python\n" + lines[1])
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to("/usr/bin/python3")


if __name__ == "__main__":
    sys.exit(main())

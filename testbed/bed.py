"""The testbed as a whole: start and stop it, list its parts, and reach it."""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import builds, network, node, own_images, pins, servers, spark_operator
from testbed.places import (
    DATA,
    DOCKER_SOCKET,
    FINK_CODE,
    KUBECONFIG,
    KUBECONFIG_AIRFLOW,
    LOGS,
    STATE,
    cache,
)
from testbed.process import TestbedError, last_lines, recorded, running, stop

if TYPE_CHECKING:
    from fink_k8s.core.config.releases import Release

# The state of a cluster is deleted with it; images that were built and pushed stay.
FORGOTTEN = ("etcd", "kubelet", "kafka", "s3", "containerd", "pod-logs")


def up(say: Callable[[str], None]) -> None:
    """Start every part that does not run; a second call changes nothing.

    Raises:
        TestbedError: a part cannot be built or does not get healthy; names it and its log.
    """
    begun = time.monotonic()
    builds.install_packages(say)
    paths = builds.ensure_all(say)
    STATE.mkdir(parents=True, exist_ok=True)
    if not recorded():
        _forget()
    network.up()
    steps: list[tuple[str, Callable[[], None]]] = [
        ("registry", servers.start_registry),
        ("docker", servers.start_docker),
        ("kafka", lambda: servers.start_kafka(paths["kafka"])),
        ("s3", lambda: servers.start_s3(paths["s3"])),
    ]
    for name, step in steps:
        _timed(name, step, say)
    # Another Docker engine may have closed FORWARD, and this one is set not to change the firewall.
    image = own_images.ensure(paths, say)
    _timed("node", lambda: node.up(paths["kubernetes"], paths["pause"]), say)
    _timed("spark-operator", lambda: spark_operator.up(paths["helm"], paths["chart"], image), say)
    say(f"testbed: up in {time.monotonic() - begun:.0f} s")


def down(say: Callable[[str], None]) -> None:
    """Stop everything and remove what it created, also after a crash.

    Raises:
        TestbedError: something is left; the message names it.
    """
    if running("docker"):
        servers.remove_containers()
    node.down()
    for name in (*reversed(servers.PARTS), *recorded()):
        stop(name)
    network.down()
    if left := leftovers():
        raise TestbedError(f"still there after `down`: {', '.join(left)}")
    shutil.rmtree(STATE, ignore_errors=True)
    _forget()
    say("testbed: down, nothing left")


def leftovers() -> list[str]:
    """Return every process, mount, interface, address and firewall rule that still exists."""
    return [*recorded(), *node.leftovers(), *network.leftovers()]


def status() -> dict[str, str]:
    """Return the state of each part: its process id, or that it is down."""
    parts = {name: running(name) for name in (*servers.PARTS, *node.PARTS)}
    states = {name: f"up, process {pid}" if pid else "down" for name, pid in parts.items()}
    try:
        ready = bool(parts["kube-apiserver"]) and spark_operator.is_ready()
    except TestbedError:
        ready = False
    states["spark-operator"] = "up" if ready else "down"
    return states


def died() -> dict[str, str]:
    """Return the last log lines of each part that was started, not stopped, and no longer runs."""
    gone = [name for name in recorded() if not running(name)]
    return {name: last_lines(LOGS / f"{name}.log") for name in gone}


def environment() -> Mapping[str, str]:
    """Return the variables that point the project at the testbed."""
    access, secret = servers.keys()
    return {
        "KUBECONFIG": str(KUBECONFIG),
        "KUBECONFIG_AIRFLOW": str(KUBECONFIG_AIRFLOW),
        "DOCKER_HOST": f"unix://{DOCKER_SOCKET}",
        "FINK_KAFKA_SERVERS": f"{pins.KAFKA_ADDRESS}:{pins.KAFKA_PORT}",
        "FINK_STORE_PREFIX": f"s3a://{pins.BUCKET}",
        "FINK_STORE_ENDPOINT": f"http://{pins.STORE_ADDRESS}:{pins.STORE_PORT}",
        "FINK_IMAGE_REPOSITORY": f"{pins.REGISTRY}/fink/stream2raw",
        "FINK_IMAGE_BASE": own_images.BASE,
        "FINK_SPARK_URL": f"file://{builds.spark_archive('{version}')}",
        "FINK_SOURCES": str(FINK_CODE),
        "FINK_CACHE_DIR": str(cache()),
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "TESTBED_STATE": str(STATE),
    }


def prepare(release: "Release", say: Callable[[str], None]) -> None:
    """Add what the testbed lacks for a release other than the current one: base and archive.

    Raises:
        TestbedError: a part of it is not available.
    """
    archive = builds.base_build(release.java).ensure(say)
    own_images.ensure_base(release.java, archive, say)
    builds.ensure_archive(release.spark, release.pyspark_sha512, say)


def _forget() -> None:
    for name in FORGOTTEN:
        shutil.rmtree(DATA / name, ignore_errors=True)


def _timed(name: str, step: Callable[[], None], say: Callable[[str], None]) -> None:
    begun = time.monotonic()
    step()
    say(f"{name}: up in {time.monotonic() - begun:.1f} s")


def log_of(part: str) -> Path:
    """Return the log of a part.

    Raises:
        TestbedError: there is no such part.
    """
    known = (*servers.PARTS, *node.PARTS)
    if part not in known:
        raise TestbedError(f"no part {part!r}; use one of {', '.join(known)}")
    return LOGS / f"{part}.log"

"""The servers outside the cluster: image registry, Docker engine, Kafka broker and S3 store."""

import secrets
import socket
import urllib.request
from pathlib import Path

import yaml

from testbed import pins
from testbed.places import DATA, DOCKER_SOCKET, STATE
from testbed.process import run, start, wait_for

PARTS = ("registry", "docker", "kafka", "s3")
KEYS = STATE / "s3-keys"


def start_registry() -> None:
    """Start the image registry on loopback; pushed images stay from one `up` to the next."""
    config = STATE / "registry.yaml"
    config.write_text(yaml.safe_dump({
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(DATA / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{pins.REGISTRY.split(':')[1]}"},
    }))  # fmt: skip
    start("registry", ["docker-registry", "serve", config])
    wait_for("the registry", lambda: _answers(f"http://{pins.REGISTRY}/v2/"), 30, "registry")


def start_docker() -> None:
    """Start the testbed's own Docker engine, only for builds: without bridge and firewall."""
    start("docker", [
        "dockerd", f"--host=unix://{DOCKER_SOCKET}", f"--data-root={DATA}/docker",
        f"--exec-root={STATE}/docker", f"--pidfile={STATE}/docker.pid", "--iptables=false",
        "--ip6tables=false", "--bridge=none", "--log-level=warn",
    ])  # fmt: skip
    wait_for("the Docker engine", lambda: "ID" in docker("info"), 60, "docker")


def docker(*arguments: str | Path) -> str:
    """Run the Docker client on the testbed's engine and return its output."""
    return run("docker", "--host", f"unix://{DOCKER_SOCKET}", *arguments)


def remove_containers() -> None:
    """Delete every container of the testbed's engine, with its networks and its data."""
    if containers := docker("ps", "--all", "--quiet").split():
        docker("rm", "--force", "--volumes", *containers)
    docker("network", "prune", "--force")
    # Engines differ in which volumes `volume prune` considers unused.
    if volumes := docker("volume", "ls", "--quiet").split():
        docker("volume", "rm", *volumes)


def start_kafka(jars: Path) -> None:
    """Start one KRaft broker in a network namespace; host and pods reach it at one address."""
    address = f"{pins.KAFKA_ADDRESS}:{pins.KAFKA_PORT}"
    data = DATA / "kafka"
    properties = STATE / "kafka.properties"
    properties.write_text(f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:9093
advertised.listeners=PLAINTEXT://{address}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=4194304
""")
    java = ["java", "-Xmx512m", "-Xms256m", "-cp", f"{jars}/*"]
    if not (data / "meta.properties").exists():
        run(
            *java,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "AAAAAAAAQACAAAAAAAAAAQ",
            "-c",
            properties,
        )
    start("kafka", ["ip", "netns", "exec", "fink-kafka", *java, "kafka.Kafka", properties])
    wait_for("Kafka", lambda: is_listening(pins.KAFKA_ADDRESS, pins.KAFKA_PORT), 60, "kafka")


def start_s3(program: Path) -> None:
    """Start the S3 store in a network namespace, with keys only for this `up`."""
    access, secret = keys()
    # Each folder below the gateway's root is a bucket.
    (DATA / "s3" / pins.BUCKET).mkdir(parents=True, exist_ok=True)
    start(
        "s3",
        ["ip", "netns", "exec", "fink-s3", program,
         "--port", f"{pins.STORE_ADDRESS}:{pins.STORE_PORT}", "--quiet", "posix", DATA / "s3"],
        env={"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
    )  # fmt: skip
    wait_for("the S3 store", lambda: is_listening(pins.STORE_ADDRESS, pins.STORE_PORT), 30, "s3")


def keys() -> tuple[str, str]:
    """Return (access key, secret key) of the S3 store, generated once for each state folder."""
    if not KEYS.exists():
        KEYS.parent.mkdir(parents=True, exist_ok=True)
        KEYS.touch(mode=0o600)
        KEYS.write_text(f"fink{secrets.token_hex(6)} {secrets.token_urlsafe(24)}")
    access, secret = KEYS.read_text().split()
    return access, secret


def is_listening(host: str, port: int) -> bool:
    """Tell whether something accepts connections at `host:port`."""
    with socket.create_connection((host, port), timeout=1):
        return True


def _answers(address: str) -> bool:
    with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - our own registry
        return bool(answer.status == 200)

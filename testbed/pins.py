"""The testbed's versions that are in no go.mod or pom.xml, and its fixed addresses."""

from typing import Final

KUBERNETES: Final = "1.34.4"
SPARK: Final = "3.5.7"
SPARK_SDIST_SHA512: Final = (
    "ef16e08f8251653f86e1d5c9453c355780d182a86b09c1e506d463222c5e2212"
    "5b4124a57efc92145a522ea876a795655f0716563c4133ffc4e4d6eb468ff41b"
)
PAUSE: Final = "1"

# The Debian packages that a node needs; `up` installs them if it runs as root.
DEBIAN_PACKAGES: Final = (
    "containerd",
    "containernetworking-plugins",
    "conntrack",
    "debootstrap",
    "docker-registry",
    "docker.io",
    "ethtool",
    "iproute2",
    "ipset",
    "iptables",
    "runc",
    "socat",
)

# What a container needs to run the driver, an executor or the operator, by its Java: a Debian
# suite that has it. javac is used once, in a build stage; jstack reads the threads of a driver
# that hangs. Spark 3.1 runs on Java 11 and Python 3.9, which bullseye has.
JAVA: Final = 17
BASE_SUITES: Final = {17: "bookworm", 11: "bullseye"}
BASE_PACKAGES: Final = (
    "ca-certificates",
    "openjdk-{java}-jdk-headless",
    "procps",
    "python3",
    "tini",
)

NODE_NAME: Final = "fink-testbed"
NODE_ADDRESS: Final = "10.200.0.1"
API_SERVER: Final = f"https://{NODE_ADDRESS}:6443"
BRIDGE: Final = "cni0"
BRIDGE_ADDRESS: Final = "10.244.0.1"
POD_SUBNET: Final = "10.244.0.0/24"
POD_RANGE: Final = ("10.244.0.10", "10.244.0.199")
# Airflow for a team, with Docker Compose.
COMPOSE_BRIDGE: Final = "fink-compose"
COMPOSE_SUBNET: Final = "10.201.0.0/24"
COMPOSE_PORT: Final = 8090
SERVICE_SUBNET: Final = "10.96.0.0/16"
REGISTRY: Final = "localhost:5000"
KAFKA_ADDRESS: Final = "10.244.0.201"
KAFKA_PORT: Final = 9092
STORE_ADDRESS: Final = "10.244.0.202"
STORE_PORT: Final = 7070
BUCKET: Final = "fink"

JOB_NAMESPACE: Final = "spark"
OPERATOR_NAMESPACE: Final = "spark-operator"
STORE_SECRET: Final = "fink-store"  # noqa: S105 - a name, not a key

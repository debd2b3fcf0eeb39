"""Take the Spark Operator of the testbed away for a while."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from testbed.node import kubectl

NAMESPACE = "spark-operator"
PARTS = ("spark-operator-controller", "spark-operator-webhook")


@contextmanager
def away(deployment: str) -> Iterator[None]:
    """Take one of the operator's deployments away, and bring it back whatever happens."""
    component = f"app.kubernetes.io/component={deployment.rpartition('-')[2]}"
    try:
        kubectl("-n", NAMESPACE, "scale", f"deployment/{deployment}", "--replicas=0")
        kubectl("-n", NAMESPACE, "wait", "--for=delete", "pod", "-l", component, "--timeout=60s")
        yield
    finally:
        kubectl("-n", NAMESPACE, "scale", f"deployment/{deployment}", "--replicas=1")
        kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{deployment}", "--timeout=90s")


@contextmanager
def without_operator() -> Iterator[None]:
    """Take both away."""
    with ExitStack() as stack:
        for part in PARTS:
            stack.enter_context(away(part))
        yield

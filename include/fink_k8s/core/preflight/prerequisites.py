"""What must hold before a stream is brought up; pure: facts in, findings out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from fink_k8s.core.base.errors import Refused
from fink_k8s.core.base.kubernetes import KubernetesObject
from fink_k8s.core.config.releases import Release, SupportVerdict
from fink_k8s.core.stream.manifests import ENFORCE, POD_MILLICORES, RESTRICTED
from fink_k8s.core.stream.stream_request import StreamRequest, SubmitWith
from fink_k8s.core.stream.submit_conf import meets_restricted

Room = tuple[Decimal, int]
"""CPU in cores, memory in bytes."""

# Spark's: what a pod of a Python job gets over its heap, at least 384 MiB.
# https://spark.apache.org/docs/latest/running-on-kubernetes.html#spark-properties
_OVERHEAD, _LEAST_OVERHEAD = 0.4, 384 * 2**20
_POD_CORES = Decimal(POD_MILLICORES) / 1000


class FindingLevel(StrEnum):
    """How much a finding matters: an error stops the bring-up."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the preflight, with the remedy where one is needed.

    `may_pass` marks an error that may go away by itself.
    """

    level: FindingLevel
    text: str
    remedy: str = ""
    may_pass: bool = False

    def __str__(self) -> str:
        """Return the finding in one line."""
        return f"{self.level}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def refuse_errors(findings: Sequence[Finding]) -> None:
    """Raise `Refused` with all errors at once; it is worth another try where each may pass."""
    errors = [finding for finding in findings if finding.level is FindingLevel.ERROR]
    if errors:
        passes = all(error.may_pass for error in errors)
        raise Refused("; ".join(map(str, errors)), retryable=passes)


def check_release(release: Release, version: str) -> Finding:
    """Compare the cluster's version with the compatibility matrix."""
    verdict, sentence = release.check_kubernetes(version)
    level = {
        SupportVerdict.REFUSED: FindingLevel.ERROR,
        SupportVerdict.EXPECTED: FindingLevel.WARNING,
    }
    return Finding(level.get(verdict, FindingLevel.OK), sentence)


def check_security(release: Release) -> list[Finding]:
    """Warn of a release's known vulnerabilities; it may still run."""
    if fault := release.check_security():
        return [Finding(FindingLevel.WARNING, fault, "use a newer release if you can")]
    return []


def check_operator_ready(
    has_crd: bool, deployments: Sequence[KubernetesObject], namespace: str
) -> list[Finding]:
    """Check that the Spark Operator is installed, and each of its deployments alive."""
    if not has_crd:
        return [
            Finding(
                FindingLevel.ERROR,
                "the cluster does not know the resource SparkApplication",
                "install the Spark Operator with its Helm chart, or set submit_with to "
                "spark-submit, which does not need it",
            )
        ]
    findings = []
    for part in ("controller", "webhook"):
        mine = [one for one in deployments if _component(one) == part]
        if any((one.get("status") or {}).get("availableReplicas") for one in mine):
            findings.append(Finding(FindingLevel.OK, f"the Spark Operator's {part} is running"))
            continue
        state = "not available" if mine else f"not in namespace {namespace}"
        findings.append(
            Finding(
                FindingLevel.ERROR,
                f"the Spark Operator's {part} is {state}",
                f"run kubectl -n {namespace} get deployments, and check "
                "FINK_OPERATOR_NAMESPACE; or set submit_with to spark-submit, which does not "
                "need the operator",
                may_pass=bool(mine),
            )
        )
    return findings


def check_pod_security(release: Release, namespace: KubernetesObject | None) -> list[Finding]:
    """Check that pods of plain spark-submit will be admitted to the namespace.

    `namespace` is the object, None for one that the stage rbac will make, with `restricted`.
    """
    labels = {ENFORCE: RESTRICTED} if namespace is None else namespace["metadata"].get("labels")
    if meets_restricted(release.spark) or (labels or {}).get(ENFORCE) != RESTRICTED:
        return []
    return [
        Finding(
            FindingLevel.ERROR,
            "the namespace enforces Pod Security restricted, which pods of Spark "
            f"{release.spark} do not meet by themselves: its Kubernetes client cannot set a "
            "seccompProfile",
            "set submit_with to spark-operator, whose webhook adds it, use a newer release, or a "
            "namespace that enforces baseline",
        )
    ]


def check_namespace(name: str, exists: bool, will_be_made: bool) -> Finding:
    """Check the streams' namespace."""
    if exists:
        return Finding(FindingLevel.OK, f"namespace {name} exists")
    if will_be_made:
        return Finding(
            FindingLevel.WARNING, f"namespace {name} does not exist; stage rbac will create it"
        )
    return Finding(FindingLevel.ERROR, f"namespace {name} does not exist", "do not skip stage rbac")


def check_way(request: StreamRequest, runs_with: SubmitWith) -> Finding:
    """Check that a stream that runs already does so in the way that is asked for."""
    if runs_with is request.submit_with:
        return Finding(FindingLevel.OK, f"stream {request.stream} is running and will be adopted")
    return Finding(
        FindingLevel.ERROR,
        f"stream {request.stream} is already running, submitted with {runs_with}",
        f"set submit_with to {runs_with} to adopt it, or stop it first",
    )


def check_checkpoint(request: StreamRequest, topics: Collection[str]) -> Finding:
    """Check that a night that was begun goes on with the topic that its checkpoint reads."""
    if request.topic in topics:
        return Finding(FindingLevel.OK, f"night {request.night} continues from its checkpoint")
    begun = ", ".join(sorted(topics))
    return Finding(
        FindingLevel.ERROR,
        f"night {request.night} was started with topic {begun}, and its checkpoint cannot "
        "switch to another",
        f"set topic to {begun}, or choose another night",
    )


def check_capacity(request: StreamRequest, free: Mapping[str, Room]) -> Finding:
    """Check that the driver and each executor find a node with room; the largest pods first."""
    asked = sorted(rooms_of(request), key=lambda room: room[1], reverse=True)
    total = f"{sum(r[0] for r in asked):.1f} CPU and {_gib(sum(r[1] for r in asked))}"
    left = dict(free)
    for cpu, memory in asked:
        node = next((n for n, r in left.items() if r[0] >= cpu and r[1] >= memory), None)
        if node is None:
            room = ", ".join(f"{n}: {r[0]:.1f} CPU, {_gib(r[1])}" for n, r in free.items())
            return Finding(
                FindingLevel.ERROR,
                f"the stream requests {total} in {len(asked)} pods, more than the nodes have "
                f"free: {room or 'nothing'}",
                "request less memory or fewer executors, stop another stream, or add a node",
                may_pass=True,
            )
        left[node] = (left[node][0] - cpu, left[node][1] - memory)
    return Finding(
        FindingLevel.OK, f"the stream requests {total} in {len(asked)} pods: there is room"
    )


def rooms_of(request: StreamRequest) -> list[Room]:
    """Return what the driver and each executor ask of a node."""
    driver = (_POD_CORES, _pod_memory(request.driver_memory))
    executor = (_POD_CORES, _pod_memory(request.executor_memory))
    return [driver, *[executor] * request.executors]


def _pod_memory(heap: str) -> int:
    size = int(heap[:-1]) * {"m": 2**20, "g": 2**30}[heap[-1]]
    return size + max(_LEAST_OVERHEAD, int(size * _OVERHEAD))


def _component(deployment: KubernetesObject) -> str:
    return str((deployment["metadata"].get("labels") or {}).get("app.kubernetes.io/component", ""))


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"

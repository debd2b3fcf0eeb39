"""From evidence to one named cause with a remedy; pure: dicts in, `Diagnosis` out.

The categories are stable names: each is a section of docs/troubleshooting.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fink_k8s.core.states import state_of_driver

Object = Mapping[str, Any]


class Category(StrEnum):
    """Why a stream does not run."""

    IMAGE_PULL = "image-pull"
    UNSCHEDULABLE = "unschedulable"
    QUOTA = "quota"
    OPERATOR_AWAY = "operator-away"
    WEBHOOK_AWAY = "webhook-away"
    RIGHT_MISSING = "right-missing"
    SUBMISSION_FAILED = "submission-failed"
    SECRET_MISSING = "secret-missing"  # noqa: S105 - a name
    OUT_OF_MEMORY = "out-of-memory"
    DRIVER_FAILED = "driver-failed"
    QUERY_DEAD = "query-dead"


@dataclass(frozen=True)
class Evidence:
    """What the cluster says of one stream, as the API gives it."""

    application: Object | None
    pods: Sequence[Object] = ()
    metrics: Object | None = None
    driver_log: str = ""

    @property
    def exists(self) -> bool:
        """Tell whether there is a stream: an application, or a driver that has none."""
        return self.application is not None or self.driver is not None

    @property
    def state(self) -> str:
        """Return the application's state, e.g. `RUNNING`; empty for a new one.

        A driver that plain spark-submit started has no application: its pod's phase tells.
        """
        if self.application is None and self.driver is not None:
            return state_of_driver(self.driver_phase)
        status = (self.application or {}).get("status") or {}
        return str((status.get("applicationState") or {}).get("state", ""))

    @property
    def message(self) -> str:
        """Return the application's error message."""
        status = (self.application or {}).get("status") or {}
        return str((status.get("applicationState") or {}).get("errorMessage", ""))

    @property
    def driver(self) -> Object | None:
        """Return the driver pod."""
        for pod in self.pods:
            if pod["metadata"].get("labels", {}).get("spark-role") == "driver":
                return pod
        return None

    @property
    def driver_phase(self) -> str:
        """Return the driver pod's phase, e.g. `Pending`."""
        return str(self.driver["status"].get("phase")) if self.driver else "not there"

    @property
    def driver_started(self) -> datetime | None:
        """Return when the driver's container began to run; None where it does not."""
        for status in (self.driver or {}).get("status", {}).get("containerStatuses") or ():
            if running := status.get("state", {}).get("running"):
                return datetime.fromisoformat(running["startedAt"])
        return None


@dataclass(frozen=True)
class Diagnosis:
    """A cause in one line, what it rests on, and what to do."""

    category: Category
    summary: str
    detail: str
    resolution: str
    severity: str = field(default="error")

    def __str__(self) -> str:
        """Return cause, detail and remedy in one line."""
        text = f"[{self.category}] {self.summary}: {self.detail.rstrip('. ')}. {self.resolution}"
        return " ".join(text.split())


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """Return the first cause that the evidence shows, or None where nothing is wrong (yet)."""
    for check in _CHECKS:
        if found := check(evidence):
            return found
    return None


def diagnose_words(text: str) -> Diagnosis | None:
    """Return the cause that a message of Kubernetes, the operator or a driver names."""
    for words, category, summary, resolution in _MESSAGES:
        if any(word in text for word in words):
            return Diagnosis(category, summary, _essence(text, words), resolution)
    return None


def _check_image(evidence: Evidence) -> Diagnosis | None:
    for pod, waiting in _waiting(evidence.pods):
        if waiting.get("reason") in _NO_IMAGE:
            image = pod["spec"]["containers"][0]["image"]
            return Diagnosis(
                Category.IMAGE_PULL,
                f"image {image} cannot be pulled",
                waiting.get("message", waiting["reason"]),
                "Check tag and registry, or run fink_image",
            )
    return None


def _check_secret(evidence: Evidence) -> Diagnosis | None:
    for pod, waiting in _waiting(evidence.pods):
        if waiting.get("reason") == "CreateContainerConfigError":
            return Diagnosis(
                Category.SECRET_MISSING,
                f"a Secret or config map of {pod['metadata']['name']} is missing",
                waiting.get("message", waiting["reason"]),
                "Make the Secret in the streams' namespace; FINK_STORE_SECRET names it",
            )
    return None


def _check_schedule(evidence: Evidence) -> Diagnosis | None:
    for pod in evidence.pods:
        for condition in pod.get("status", {}).get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
                return Diagnosis(
                    Category.UNSCHEDULABLE,
                    f"no node has room for {pod['metadata']['name']}",
                    condition.get("message", ""),
                    "Ask for less CPU and memory in the form, or add a node",
                )
    return None


def _check_message(evidence: Evidence) -> Diagnosis | None:
    """Read what the operator says of a submission that failed, and the driver of its own end."""
    if evidence.state not in {"SUBMISSION_FAILED", "FAILING", "FAILED", "PENDING_RERUN"}:
        return None
    text = f"{evidence.message}\n{evidence.driver_log}"
    if found := diagnose_words(text):
        return found
    if evidence.state == "SUBMISSION_FAILED":
        return Diagnosis(
            Category.SUBMISSION_FAILED,
            "spark-submit failed in the operator",
            _essence(text, ("Exception", "Error")),
            "Read the operator's log, mend what it names, and trigger again",
        )
    return None


def _check_driver(evidence: Evidence) -> Diagnosis | None:
    if evidence.state not in {"FAILED", "FAILING", "PENDING_RERUN"}:
        return None
    for ended in _terminated(evidence.driver):
        if ended.get("reason") == "OOMKilled":
            return Diagnosis(
                Category.OUT_OF_MEMORY,
                "the driver ran out of memory",
                f"exit code {ended.get('exitCode')}",
                "Give the driver more memory in the form",
            )
    return Diagnosis(
        Category.DRIVER_FAILED,
        "the driver ended with an error",
        _last_words(evidence.driver_log) or evidence.message or f"application {evidence.state}",
        "Mend what it names; the driver's log has the whole story",
    )


_NO_IMAGE = {
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
}

_MESSAGES: tuple[tuple[tuple[str, ...], Category, str, str], ...] = (
    (
        ("exceeded quota",),
        Category.QUOTA,
        "the namespace's quota is used up",
        "Ask for less, stop another stream, or raise the quota",
    ),
    (
        ("failed calling webhook", "webhook.sparkoperator"),
        Category.WEBHOOK_AWAY,
        "the Spark Operator's webhook does not answer",
        "Bring the webhook's deployment back (helm), then trigger again",
    ),
    (
        ("error looking up service account", "is forbidden: User", "cannot create resource"),
        Category.RIGHT_MISSING,
        "the driver's account is missing or lacks a right",
        "Run fink_rbac, then trigger again",
    ),
)

_CHECKS: tuple[Callable[[Evidence], Diagnosis | None], ...] = (
    _check_image,
    _check_secret,
    _check_schedule,
    _check_message,
    _check_driver,
)


def _waiting(pods: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if waiting := status.get("state", {}).get("waiting"):
                yield pod, waiting


def _terminated(pod: Object | None) -> Iterator[Object]:
    for status in (pod or {}).get("status", {}).get("containerStatuses") or ():
        for state in (status.get("state", {}), status.get("lastState", {})):
            if ended := state.get("terminated"):
                yield ended


def _last_words(log: str) -> str:
    """Return what a driver said of its own end: stream2raw's last reason, or an error's line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reasons = [reason for line in lines if (reason := _reason_of(line))]
    errors = [line for line in lines if "Error" in line or "Exception" in line]
    return (reasons or errors or lines or [""])[-1][:400]


def _reason_of(line: str) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    return str(event.get("reason", "")) if isinstance(event, dict) else ""


def _essence(text: str, words: Sequence[str]) -> str:
    """Return the line that holds one of the words, shortened: the operator sends whole stacks."""
    for line in text.splitlines():
        if any(word in line for word in words):
            return line.strip()[:400]
    return " ".join(text.split())[:400]

"""The cause in spark-submit's output when it fails on the worker, often a long stack trace."""

import re

from fink_k8s.core.diagnosis.catalogue import Category
from fink_k8s.core.diagnosis.causes import Diagnosis, diagnosis_of
from fink_k8s.core.diagnosis.messages import diagnose_words

_PASSING = (
    "ConnectException",
    "NoRouteToHostException",
    "SocketTimeoutException",
    "Too Many Requests",
    "timeout",
)


def diagnose_submission(output: str) -> Diagnosis:
    """Return the cause that spark-submit's output shows."""
    line = _cause_of(output)
    if "is forbidden: User" in output:
        return diagnosis_of(Category.RIGHT_MISSING, line, "airflow")
    return diagnose_words(line) or diagnosis_of(Category.SUBMISSION_FAILED, line, "worker")


def may_pass(output: str) -> bool:
    """Tell whether the same submission can succeed later: the API server did not answer it."""
    return any(word in _cause_of(output) for word in _PASSING)


def lost_the_race(output: str) -> bool:
    """Tell whether spark-submit found a driver of that name: another run was faster."""
    return "reason=AlreadyExists" in output or "already exists" in _cause_of(output)


def _cause_of(output: str) -> str:
    """Return the root cause of the exception, or the last line with an error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith(("Exception in thread", "Caused by:"))]
    errors = [line for line in lines if "rror" in line]
    cause = (causes or errors or lines or ["it printed nothing"])[-1]
    # The API server's own message, if it is quoted.
    if match := re.search(r"Message: (.*?)\.?(?: Received status: .*)?$", cause):
        cause = match[1]
    return cause[:600]

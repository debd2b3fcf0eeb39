"""Observe all streams of a namespace at once, and make many requests with one time limit."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.stream.streams import APPLICATION_KIND
from fink_k8s.core.base.errors import Unavailable
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.stream.ownership import stream_of

Answer = TypeVar("Answer")


def observe_all(cluster: Cluster, namespace: str) -> dict[str, Evidence]:
    """Return the evidence of each stream from two lists, by name, however it was submitted.

    Raises:
        FinkError: the API server does not answer, or the account may not list.
    """
    applications: dict[str, Any] = {}
    for application in cluster.find_all(APPLICATION_KIND, namespace):
        applications[stream_of(application)] = application
    drivers = defaultdict(list)
    for pod in cluster.pods(namespace, "spark-role=driver"):
        drivers[stream_of({**pod, "kind": "Pod"})].append(pod)
    names = sorted({*applications, *drivers} - {""})
    return {name: Evidence(applications.get(name), drivers.get(name, ())) for name in names}


def ask_each(
    names: Iterable[str], ask: Callable[[str], Answer], seconds: float, at_once: int = 20
) -> dict[str, Answer | Exception]:
    """Return the answer or the error for each name; wait no longer than `seconds`.

    At most `at_once` requests run at the same time. Unanswered ones are abandoned, in threads that
    do not keep the process alive.
    """
    answers: dict[str, Answer | Exception] = {}
    turn = threading.Semaphore(at_once)

    def run(name: str) -> None:
        with turn:
            try:
                answers[name] = ask(name)
            except Exception as error:
                answers[name] = error

    deadline = time.monotonic() + seconds
    threads = {
        name: threading.Thread(target=run, args=(name,), name=f"look at {name}", daemon=True)
        for name in names
    }
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = Unavailable(f"no answer within {seconds:.0f} s")
    return {name: answers.get(name, silent) for name in threads}

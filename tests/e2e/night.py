"""A night shortened to minutes, as one triggers it and looks at it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from tests.e2e.driving import drivers, kubectl

NIGHT_DAG = "fink_night_ztf"
ALIVE = {"Pending", "Running", "Unknown"}


def form_of(night: str, topic: str, seconds: float, **fields: Any) -> dict[str, Any]:
    """Return the form of a night that ends in so many seconds."""
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "night": night,
        "topic": topic,
        "ends_at": ends.isoformat(timespec="seconds"),
        "quiet_minutes": 10 / 60,
        "grace_minutes": 4,
        "trigger_interval_s": 3,
        **fields,
    }


class Night:
    """One run of a survey's night DAG, followed from outside."""

    def __init__(self, fink: Any, form: dict[str, Any], survey: str = "ztf") -> None:
        self.client = fink.client
        self.dag_id = f"fink_night_{survey}"
        self.stream = f"stream2raw-{survey}-{form['night']}"
        self.client.wait_for_dag(self.dag_id)
        self.run_id = self.client.trigger(self.dag_id, form)

    def states(self) -> dict[str, str]:
        """Return the tasks' states, by task."""
        tasks = self.client.tasks(self.dag_id, self.run_id)
        return {task["task_id"]: task["state"] for task in tasks}

    def wait_for(self, task: str, *states: str, seconds: float = 180) -> str:
        """Return the state of a task once it is one of `states`."""
        deadline = time.monotonic() + seconds
        while (state := self.states().get(task)) not in states:
            assert time.monotonic() < deadline, (task, state, self.logs())
            assert self.client.run_state(self.dag_id, self.run_id) != "failed", self.logs()
            time.sleep(1)
        return state

    def end(self, seconds: float = 400) -> str:
        """Wait until the run ends; return its state."""
        for _ in self.client.follow(self.dag_id, self.run_id, seconds):
            pass
        state = self.client.run_state(self.dag_id, self.run_id)
        print(f"{self.run_id}: {state}, {self.states()}")
        if state != "success":
            print(self.logs())
        return state

    def xcom(self, task: str, key: str = "return_value") -> Any:
        """Return what a task has told."""
        return self.client.xcom(self.dag_id, self.run_id, task, key)

    def log(self, task: str) -> str:
        """Return all that a task has said, in all of its tries."""
        tries = {
            one["task_id"]: one["try_number"] for one in self.client.tasks(self.dag_id, self.run_id)
        }
        return "\n".join(
            self.client.log(self.dag_id, self.run_id, task, number)
            for number in range(1, tries[task] + 1)
        )

    def logs(self) -> str:
        """Return the last words of what failed or runs."""
        wanted = {"failed", "up_for_retry", "running", "deferred"}
        tasks = [task for task, state in self.states().items() if state in wanted]
        return "\n".join(f"--- {task}\n{self.log(task)[-3000:]}" for task in tasks)


class DriverCount:
    """Counts a stream's living drivers all the time; `most` is never to be more than one.

    A look that fails is no count: leaving the block raises what it raised. A test that takes the
    API server away holds the count meanwhile: `with count.held():`.
    """

    def __init__(
        self,
        stream: str,
        look: Callable[[str], list[dict[str, Any]]] = drivers,
        seconds: float = 0.5,
    ) -> None:
        self.stream, self.most, self.looks = stream, 0, 0
        self.uids: list[str] = []
        self._look, self._seconds = look, seconds
        self._over, self._may_look = threading.Event(), threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="driver-count")

    def __enter__(self) -> Self:
        self._counting = self._pool.submit(self._count)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._over.set()
        self._pool.shutdown()  # kubectl ends by itself, at its own time limit
        if kind is None:
            self._counting.result()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the look that goes on, and look no more until the block ends."""
        with self._may_look:
            yield

    def _count(self) -> None:
        """Look at once, and again until the block is left: there is one look at least."""
        while True:
            with self._may_look:
                pods = self._look(self.stream)
            alive = [pod for pod in pods if pod["status"].get("phase") in ALIVE]
            self.looks += 1
            self.most = max(self.most, len(alive))
            seen = [pod["metadata"]["uid"] for pod in alive]
            self.uids += [uid for uid in seen if uid not in self.uids]
            if self._over.wait(self._seconds):
                return


def kill_driver(stream: str) -> None:
    """Delete the driver as a lost node would: without a word to it."""
    [driver] = drivers(stream)
    kubectl("delete", "pod", driver["metadata"]["name"], "--force", "--grace-period=0")


def wait_until_committed(store: Any, night: str, batch: int = 0, seconds: float = 120) -> int:
    """Return the last committed batch, once it is `batch` or a later one."""
    deadline = time.monotonic() + seconds
    while not (committed := store.committed(night)) or committed[-1] < batch:
        assert time.monotonic() < deadline, committed
        time.sleep(1)
    return committed[-1]

"""Start and stop long-running programs by recorded process ids, never by name."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from testbed.places import LOGS, STATE

PIDS = STATE / "pids"


class TestbedError(RuntimeError):
    """A part of the testbed cannot be built or started; the message names it and its log."""

    __test__ = False  # pytest takes classes named Test* for tests


def run(
    *command: str | Path,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        TestbedError: it failed; the message ends with the last lines it wrote.
    """
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-12:])
        raise TestbedError(
            f"`{' '.join(map(str, command))}` exited with {done.returncode}:\n{tail}"
        )
    return done.stdout


def start(name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
    """Start `name` in its own session, unless it runs; its output goes to its log."""
    if running(name):
        return
    PIDS.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    record(PIDS / name, process.pid)


def running(name: str) -> int | None:
    """Return the process id of `name` if it is still the process that was started."""
    try:
        pid, started = recorded_in(PIDS / name)
        is_alive = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return pid if is_alive and start_time(pid) == started else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def stop(name: str, patience: float = 20) -> None:
    """Stop `name`, first with SIGTERM, then with SIGKILL; wait until it is gone."""
    if pid := running(name):
        for sig, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
            os.kill(pid, sig)
            if _gone(name, seconds):
                break
    (PIDS / name).unlink(missing_ok=True)


def record(file: Path, pid: int) -> None:
    """Record a process: its id, and its start time, because ids are reused."""
    file.write_text(f"{pid} {start_time(pid)}")


def recorded_in(file: Path) -> tuple[int, int]:
    """Return the recorded id and start time."""
    pid, started = map(int, file.read_text().split())
    return pid, started


def recorded() -> list[str]:
    """Return the names of all processes that were started and not stopped yet."""
    return sorted(path.name for path in PIDS.glob("*")) if PIDS.exists() else []


def wait_for(what: str, ready: Callable[[], bool], seconds: float, name: str = "") -> None:
    """Wait until `ready()` is true; errors of a part that is not up yet count as not ready.

    Raises:
        TestbedError: not ready in time, or the process `name` ended; the message has its log.
    """
    deadline = time.monotonic() + seconds
    reason = ""
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, TestbedError, ValueError, httpx.TransportError) as error:
            reason = str(error)
        if name and not running(name):
            break
        time.sleep(0.3)
    log = LOGS / f"{name}.log"
    raise TestbedError(
        f"{what} is not ready after {seconds:.0f} s; {reason}\n{log}:\n{last_lines(log)}"
    )


def last_lines(log: Path) -> str:
    """Return the end of a log, or what precedes a Go program's stack dump; "" without a log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    crash = ("panic:", "fatal error:", "runtime:", "SIG")
    begin = next((at for at, line in enumerate(lines) if line.startswith(crash)), -15)
    return "\n".join(lines[begin:][:15])


def start_time(pid: int) -> int:
    """Return when a process started, in hundredths of a second since boot, which no clock changes.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    began: float = psutil.Process(pid).create_time() - psutil.boot_time()
    return round(began * 100)


def processes_with(argument: str) -> list[psutil.Process]:
    """Return the processes with `argument`, a path of the testbed's own, on their command line."""
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if argument in (process.info["cmdline"] or ())]


def group_members(group: int) -> list[psutil.Process]:
    """Return the processes of a process group, without zombies."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            is_alive = process.info["status"] != psutil.STATUS_ZOMBIE
            if is_alive and os.getpgid(process.pid) == group:
                found.append(process)
    return found


def _gone(name: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not running(name):
            return True
        time.sleep(0.1)
    return False

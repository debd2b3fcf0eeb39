import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from testbed import process
from testbed.process import TestbedError, group_members, last_lines, processes_with, wait_for

SLEEP = ["sleep", "60"]


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PIDS", tmp_path / "pids")
    monkeypatch.setattr(process, "LOGS", tmp_path / "logs")


@pytest.fixture
def sleeper():
    process.start("sleeper", SLEEP)
    yield process.running("sleeper")
    process.stop("sleeper")


def test_what_runs_is_not_started_twice_and_stop_ends_it(sleeper):
    wait_for("it", lambda: psutil.Process(sleeper).cmdline() == SLEEP, 5)
    process.start("sleeper", SLEEP)
    assert process.running("sleeper") == sleeper
    process.stop("sleeper", patience=5)
    assert process.running("sleeper") is None
    assert process.recorded() == []


def test_what_takes_no_term_is_killed():
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
    process.start("deaf", [sys.executable, "-c", deaf + "signal.pause()"])
    wait_for("it", lambda: "1" in last_lines(process.LOGS / "deaf.log"), 20, "deaf")
    pid = process.running("deaf")
    process.stop("deaf", patience=0.2)
    assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "its parent, this test, lives on"


def test_another_process_of_the_same_id_is_not_taken_for_it(sleeper):
    file = process.PIDS / "sleeper"
    pid, began = process.recorded_in(file)
    file.write_text(f"{pid} {began - 1}")
    assert process.running("sleeper") is None
    process.stop("sleeper")
    assert psutil.pid_exists(pid), "nothing that was not started here is ended"
    process.record(file, pid)


def test_a_process_that_ended_does_not_run_whether_or_not_it_was_waited_for(sleeper):
    os.kill(sleeper, signal.SIGKILL)
    wait_for("its end", lambda: process.running("sleeper") is None, 5)
    assert group_members(sleeper) == []
    os.waitpid(sleeper, 0)
    assert process.running("sleeper") is None


def test_a_process_is_found_by_a_whole_word_of_its_command_line(tmp_path):
    mark = str(tmp_path / "socket")
    with subprocess.Popen(["sh", "-c", "sleep 60; :", mark], start_new_session=True) as shell:
        try:
            assert [found.pid for found in processes_with(mark)] == [shell.pid]
            assert processes_with(mark[:-1]) == []
            assert len(group_members(shell.pid)) == 2
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def test_a_refused_connection_is_not_ready_rather_than_an_error():
    def refused():
        raise httpx.ConnectError("nobody listens")

    answers = iter([refused, lambda: True])
    wait_for("it", lambda: next(answers)(), 5)
    with pytest.raises(TestbedError, match="nobody listens"):
        wait_for("it", refused, 0.1)


def test_the_last_lines_of_a_log_are_its_end(tmp_path):
    log = tmp_path / "kafka.log"
    assert last_lines(log) == ""
    log.write_text("".join(f"line {n}\n" for n in range(40)))
    assert last_lines(log).splitlines() == [f"line {n}" for n in range(25, 40)]


def test_of_a_go_program_that_crashed_they_are_why_not_where(tmp_path):
    log = tmp_path / "kubelet.log"
    where = "".join(f"goroutine {n} [select]:\n" for n in range(400))
    log.write_text(f"I1129 all is well\nfatal error: concurrent map writes\n\n{where}")
    assert last_lines(log).startswith("fatal error: concurrent map writes\n\ngoroutine 0")

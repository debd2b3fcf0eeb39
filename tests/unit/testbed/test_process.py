import httpx
import pytest

from testbed.process import TestbedError, last_lines, wait_for


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

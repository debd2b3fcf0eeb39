from testbed.process import last_lines


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

import json
import signal
import threading
from types import SimpleNamespace

import pytest

from stream2raw import job
from stream2raw.checkpoint import BrokenPair
from stream2raw.job import cause_of, compression_of, follow, let_batch_end, main, report
from tests.fakes import OWN_SCHEMA

WORDS = [
    "-servers", "kafka:9092", "-topic", "ztf", "-online_data_prefix", "s3a://fink",
    "-night", "20250101", "-schema", OWN_SCHEMA,
]  # fmt: skip


class FakeQuarantine:
    def __init__(self, checked=-1):
        self.checked = checked
        self.checks = []
        self.mended = 0

    def check(self, batch, bad):
        self.checks.append((batch, bad))
        self.checked = max(self.checked, batch)

    def catch_up(self):
        self.mended += 1


class FakeQuery:
    """A query whose `lastProgress` and activity follow a script, one step a look."""

    def __init__(self, *progress, script=((-1, False),), is_active=True):
        self.recentProgress = list(progress)
        self.isActive = is_active
        self.script = list(script)
        self.stopped = False
        self.looks = 0

    @property
    def lastProgress(self):  # noqa: N802
        batch = self.script[0][0]
        return {"batchId": batch} if batch >= 0 else None

    @property
    def status(self):
        self.looks += 1
        if len(self.script) > 1:
            self.script.pop(0)
        return {"isTriggerActive": self.script[0][1]}

    def awaitTermination(self, seconds):  # noqa: N802
        return False

    def stop(self):
        self.stopped = True


def progress(batch, bad=0, messages=5, counted=True):
    observed = {"stream2raw": {"messages": messages, "bad": bad}}
    return {
        "batchId": batch,
        "observedMetrics": observed if counted else {},
        "durationMs": {"triggerExecution": 1500},
        "sources": [{"endOffset": {"ztf": {"0": 10}}}],
    }


@pytest.fixture
def said(capsys):
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that goes on by sleeping only."""
    now = SimpleNamespace(seconds=0.0)

    def sleep(seconds):
        now.seconds += seconds

    fake = SimpleNamespace(monotonic=lambda: now.seconds, sleep=sleep)
    monkeypatch.setattr(job, "time", fake)
    return now


@pytest.fixture(autouse=True)
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_each_new_batch_is_checked_and_told_once(said):
    query, kept = FakeQuery(progress(0), progress(1, bad=2)), FakeQuarantine()
    report(query, kept)
    report(query, kept)
    assert kept.checks == [(0, 0), (1, 2)]
    assert said() == [
        {
            "stream2raw": "batch",
            "batch": batch,
            "messages": 5,
            "bad": bad,
            "seconds": 1.5,
            "end": {"ztf": {"0": 10}},
        }
        for batch, bad in [(0, 0), (1, 2)]
    ]


def test_offsets_that_spark_4_gives_as_text_are_told_as_before(said):
    late = progress(0) | {"sources": [{"endOffset": '{"ztf": {"0": 10}}'}]}
    report(FakeQuery(late), FakeQuarantine())
    assert said()[0]["end"] == {"ztf": {"0": 10}}


def test_a_batch_without_messages_has_no_bad_ones():
    kept = FakeQuarantine()
    report(FakeQuery(progress(0, bad=None, messages=0)), kept)
    assert kept.checks == [(0, 0)]


def test_batches_that_came_without_counts_are_read_once_more(said):
    kept = FakeQuarantine(checked=3)
    report(FakeQuery(progress(4), progress(7)), kept)
    assert kept.checks == [(4, 0), (5, None), (6, None), (7, 0)]
    assert [line["batch"] for line in said()] == [4, 5, 6, 7]


def test_an_idle_look_is_no_batch(said):
    kept = FakeQuarantine(checked=3)
    report(FakeQuery(progress(4, counted=False)), kept)
    assert (kept.checks, said()) == ([], [])


def test_an_idle_look_tells_that_the_batches_before_are_committed():
    kept = FakeQuarantine(checked=3)
    report(FakeQuery({"batchId": 5, "observedMetrics": None}), kept)
    assert kept.checks == [(4, None)]


def test_batches_of_an_earlier_process_are_not_told_again(said):
    kept = FakeQuarantine(checked=9)
    report(FakeQuery(progress(8), progress(9)), kept)
    assert (kept.checks, said()) == ([], [])


def test_an_end_waits_for_the_batch_in_hand():
    query = FakeQuery(script=[(4, True), (4, True), (4, True), (5, True), (5, True)])
    let_batch_end(query)
    assert query.lastProgress == {"batchId": 5}
    assert query.looks == 3


@pytest.mark.parametrize(
    "query",
    [FakeQuery(script=[(4, False)]), FakeQuery(script=[(4, True)], is_active=False)],
    ids=["idle", "not active"],
)
def test_an_end_does_not_wait_where_nothing_is_in_hand(query, clock):
    let_batch_end(query)
    assert clock.seconds == 0


def test_an_end_waits_for_the_very_first_batch():
    query = FakeQuery(script=[(-1, True), (-1, True), (0, True)])
    let_batch_end(query)
    assert query.lastProgress == {"batchId": 0}


def test_an_end_does_not_wait_for_ever(clock):
    let_batch_end(FakeQuery(script=[(4, True)]))
    assert job.LAST_BATCH_SECONDS <= clock.seconds < job.LAST_BATCH_SECONDS + 1


@pytest.mark.parametrize("is_asked", [True, False], ids=["asked to stop", "time is over"])
def test_at_its_end_the_query_is_stopped_and_all_batches_are_checked(clock, is_asked):
    query, kept, stop = FakeQuery(progress(0)), FakeQuarantine(), threading.Event()
    if is_asked:
        stop.set()
    follow(query, kept, stop, deadline=1e9 if is_asked else 0.0)
    assert query.stopped
    assert kept.checks == [(0, 0)]
    assert kept.mended == 1


def test_the_query_is_stopped_after_the_batch_in_hand():
    class Noted(FakeQuery):
        def stop(self):
            self.stopped_at = self.lastProgress["batchId"]

    query = Noted(script=[(4, True), (4, True), (5, True)])
    follow(query, FakeQuarantine(), threading.Event(), deadline=0.0)
    assert query.stopped_at == 5


def test_a_failed_query_raises_its_error():
    class Failed(FakeQuery):
        def awaitTermination(self, seconds):  # noqa: N802
            raise RuntimeError("Caused by: the broker is away")

    with pytest.raises(RuntimeError, match="broker"):
        follow(Failed(), FakeQuarantine(), threading.Event(), deadline=1e9)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("one line", "one line"),
        ("\n  first\n second", "first"),
        ("Job aborted\nCaused by: a: b\n\tat x.y(z)\nCaused by:  c:\td", "Caused by: c: d"),
        ("x" * 1000, "x" * 500),
        ("", "RuntimeError('')"),
    ],
)
def test_the_cause_is_the_root_in_one_line(text, cause):
    assert cause_of(RuntimeError(text)) == cause


@pytest.fixture
def run(monkeypatch):
    """Let main's `run` do what is given."""

    def install(what):
        def instead(arguments, stop):
            if isinstance(what, Exception):
                raise what
            return what(arguments, stop)

        monkeypatch.setattr(job, "run", instead)

    return install


def test_a_job_that_ended_as_asked_gives_0(run, said):
    run(lambda arguments, _: 0 if arguments.output == "s3a://fink/raw/20250101" else 99)
    assert main(WORDS) == 0
    assert said() == []


@pytest.mark.parametrize(
    ("error", "code", "event"),
    [
        (RuntimeError("Job aborted\nCaused by: disk full"), 1, "failed"),
        (BrokenPair("they are not one pair"), 3, "refused"),
    ],
)
def test_an_error_gives_its_code_and_one_line(run, said, error, code, event):
    run(error)
    assert main(WORDS) == code
    reason = "Caused by: disk full" if code == 1 else "they are not one pair"
    assert said() == [{"stream2raw": event, "reason": reason}]


def test_bad_arguments_give_2_before_anything_starts(run, said):
    run(AssertionError("it was started"))
    assert main([*WORDS, "-tinterval", "0"]) == 2
    (line,) = said()
    assert line["stream2raw"] == "refused"
    assert "-tinterval" in line["reason"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_job_to_stop(run, number):
    def until_told(_, stop):
        assert not stop.is_set()
        signal.raise_signal(number)
        return 0 if stop.is_set() else 99

    run(until_told)
    assert main(WORDS) == 0


def test_a_line_of_the_log_is_json_even_of_odd_texts(run, said):
    run(RuntimeError('a "quoted" \u202e text'))
    main(WORDS)
    assert said() == [{"stream2raw": "failed", "reason": 'a "quoted" \u202e text'}]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Calling o1.start.\n: java.X: no memory\n\tat y", "java.X: no memory"),
        ("Failed\nCaused by: a.B: one\nCaused by: c.D: root\n\t... 1 more", "Caused by: c.D: root"),
        ("plain", "plain"),
    ],
)  # fmt: skip
def test_the_cause_of_an_error_in_the_jvm_is_the_jvm_s(text, cause):
    assert cause_of(RuntimeError(text)) == cause


@pytest.mark.parametrize(
    ("version", "codec"),
    [("3.1.3", "snappy"), ("3.2.0", "zstd"), ("3.5.7", "zstd"), ("3.10.1", "zstd"),
     ("4.0.0-preview1", "zstd"), ("4.2.0", "zstd")],
)  # fmt: skip
def test_the_codec_needs_no_native_library(version, codec):
    assert compression_of(version) == codec

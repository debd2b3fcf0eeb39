"""The stage `health`: one line per stream, and a message where something changed.

It fails only if it could not check any stream; an unhealthy stream does not make it fail.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import Any

from fink_k8s.adapters.base.notify import Message, Tone
from fink_k8s.core.base.clock import utc_now
from fink_k8s.core.config.settings import Settings, load_settings
from fink_k8s.core.diagnosis.checks import diagnose
from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.diagnosis.levels import HealthLevel
from fink_k8s.core.health.health_board import Board, Change, Kind
from fink_k8s.core.health.health_line import StreamLine, stream_line
from fink_k8s.core.health.health_request import HealthRequest
from fink_k8s.glue.base.connections import cluster, store, store_secrets, stream_settings
from fink_k8s.glue.base.notifiers import notify
from fink_k8s.glue.base.steps import request_of, step
from fink_k8s.glue.base.task_failures import failure_of
from fink_k8s.glue.diagnosis.diagnose_stage import StreamDiagnosis
from fink_k8s.glue.health.health_notes import HEALTH, HealthNotes

LIST_SECONDS, LOOK_SECONDS, BUNDLE_SECONDS = 30, 30, 10
"""Time limits for the list of streams, for all looks together, for all bundles together."""
SOURCE_SECONDS = 15
"""When a look stops asking further sources."""
API_SERVER = "kubernetes"
"""The board's entry for the API server itself; without it, no stream can be checked."""
EvidenceByStream = Mapping[str, Evidence]


@step(retries=0, execution_timeout=timedelta(minutes=2), inlets=[HEALTH])
def report_health() -> list[dict[str, Any]]:
    """Report the health of each stream, and notify people of changes."""
    request, settings = request_of(HealthRequest), load_settings()
    notes = HealthNotes(settings.namespace)
    board = notes.board()
    try:
        seen = _gather_all(settings)
    except Exception as error:
        # An unreachable API server, a missing right or connection: no stream can be checked.
        line = StreamLine(API_SERVER, HealthLevel.TROUBLED, f"no stream can be checked: {error}")
        notes.keep(_told(board.after_blind_look(line, utc_now()), {}, settings))
        raise failure_of(line.text, retryable=False) from error
    text = f"the API server answers; streams in namespace {settings.namespace}: {len(seen)}"
    lines = [StreamLine(API_SERVER, HealthLevel.WELL, text)]
    lines += [stream_line(stream, evidence) for stream, evidence in seen.items()]
    for line in lines:
        print(line.text)
    now = utc_now()
    board = board.after_look(lines, now, notes.stopped(board.missing(lines), now))
    notes.keep(_told(board, seen, settings))
    if request.send_test:
        notify(
            Message("Fink: test message from fink_health", "\n".join(line.text for line in lines))
        )
    return [asdict(line) for line in lines[1:]]


def _gather_all(settings: Settings) -> EvidenceByStream:
    """Gather the evidence of each stream; if that takes too long, only what was observed."""
    from fink_k8s.adapters.diagnosis.evidence_sources import gather
    from fink_k8s.adapters.stream.overview import ask_each, observe_all

    kube = cluster()
    listed = ask_each([API_SERVER], lambda _: observe_all(kube, settings.namespace), LIST_SECONDS)
    there = listed[API_SERVER]
    if isinstance(there, Exception):
        raise there
    secrets = store_secrets()

    def gather_one(stream: str) -> Evidence:
        own = stream_settings(stream)
        return gather(
            kube, own, stream, partial(store, own), secrets=secrets, seconds=SOURCE_SECONDS
        )  # fmt: skip

    return {
        stream: answer if isinstance(answer, Evidence) else _only(there[stream], answer)
        for stream, answer in ask_each(there, gather_one, LOOK_SECONDS).items()
    }


def _only(observed: Evidence, why: Exception) -> Evidence:
    """Return what was observed of a stream whose evidence could not be gathered."""
    return Evidence(observed.application, observed.pods, unanswered={"the full look": str(why)})


def _told(board: Board, seen: EvidenceByStream, settings: Settings) -> Board:
    """Notify people of news, and return the board; undelivered news is sent again next time."""
    changes = board.changes()
    for change in changes:
        print(f"{change.kind}: {change.sentence}")
    news = [change for change in changes if change.is_news]
    board = board.having_told(change for change in changes if not change.is_news)
    board = _with_bundles(board, news, seen, settings)
    if not news or notify(_message_of(news, board)):
        return board.having_told(news)
    return board


def _with_bundles(
    board: Board, news: Sequence[Change], seen: EvidenceByStream, settings: Settings
) -> Board:
    """Save a bundle for each stream that has become worse, unless it already has one."""
    from fink_k8s.adapters.stream.overview import ask_each

    open_store = _once(partial(store, settings))

    def keep(stream: str) -> str:
        found = StreamDiagnosis(stream, seen[stream], diagnose(seen[stream]))
        return found.kept(settings, open_store)

    worse = [change.stream for change in news if change.kind is Kind.WORSE]
    lacking = [name for name in worse if name in seen and not board.streams[name].bundle]
    for stream, address in ask_each(lacking, keep, BUNDLE_SECONDS).items():
        if isinstance(address, str):
            board = board.having_kept(stream, address)
        else:
            print(f"{stream}: the bundle could not be saved: {address}")
    return board


def _message_of(news: Sequence[Change], board: Board) -> Message:
    """Return one message for all news: a Kafka outage must not send twenty messages."""
    counts = {kind: sum(change.kind is kind for change in news) for kind in Kind}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    lines = []
    for change in news:
        lines.append(f"{change.kind}: {change.sentence}")
        bundle = board.streams[change.stream].bundle
        if bundle and change.kind is Kind.WORSE:
            lines.append(f"bundle: {bundle}")
    tone = Tone.FAILURE if counts[Kind.WORSE] else Tone.SUCCESS
    return Message(f"Fink: {said}", "\n".join(lines), tone)


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return a thread-safe getter that makes a thing once, or raises the same error each time."""
    made: list[Any] = []
    lock = Lock()

    def get() -> Any:
        with lock:
            if not made:
                try:
                    made.append(make())
                except Exception as error:
                    made.append(error)
        if isinstance(made[0], Exception):
            raise made[0]
        return made[0]

    return get

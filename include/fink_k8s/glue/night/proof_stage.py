"""The stage `verify`: whether a past night is complete, by counting its alerts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import get_current_context

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.fields import moment_from
from fink_k8s.core.config.surveys import survey_of
from fink_k8s.core.night.night_facts import Drained, NightFacts
from fink_k8s.core.night.night_report import sentence_of
from fink_k8s.core.stream.stream_names import parse_stream_name
from fink_k8s.core.stream.stream_request import StartingOffsets
from fink_k8s.glue.base.assets import RAW_NIGHTS
from fink_k8s.glue.base.connections import store, stream_settings
from fink_k8s.glue.base.links import NightReportLink
from fink_k8s.glue.base.steps import step
from fink_k8s.glue.base.task_failures import failure_of

FACTS = "facts"
"""The XCom that gives the report the facts, even of a night that is not verified."""
Told = dict[str, Any] | None


def verify_night(
    stream: Any,
    topic: Any,
    start: Any,
    end: Any,
    *,
    zone: Any = "",
    expected: Any = None,
    adopted: Any = False,
    watched: Any = None,
    drained: Any = None,
    stopped: Any = None,
    require_proof: Any = True,
) -> Any:
    """Return the task that verifies a night; each argument may come from another task.

    Args:
        stream: the stream's name.
        topic: its one topic.
        start: the window's begin, a moment with zone, as ISO 8601.
        end: the window's end, likewise.
        zone: the time zone to show, e.g. `America/Los_Angeles`; empty for the zone of start.
        expected: offsets by partition where the night had to start, e.g. the previous night's end.
        adopted: whether the stream was already running when it was to be submitted.
        watched: the result of the watch: `ended_at`, `restarts` (the fields of `Restart`).
        drained: how the drain ended: `lag`, `waited_s`, `is_drained`, `restarts`.
        stopped: the fields of `StopOutcome`.
        require_proof: whether a night fails if Airflow cannot count its rows.
    """
    verified = verify(
        stream=stream, topic=topic, start=start, end=end, zone=zone, expected=expected,
        adopted=adopted, watched=watched, drained=drained, stopped=stopped,
        require_proof=require_proof,
    )  # fmt: skip
    verified.operator.operator_extra_links = (NightReportLink(),)
    return verified


@step(
    task_id="verify_night",
    retries=3,
    retry_delay=timedelta(seconds=30),
    multiple_outputs=False,
    outlets=[RAW_NIGHTS],
)
def verify(
    stream: str,
    topic: str,
    start: str,
    end: str,
    zone: str,
    expected: Mapping[str, int] | None,
    adopted: bool,
    watched: Told,
    drained: Told,
    stopped: Told,
    require_proof: bool,
) -> dict[str, Any]:
    """Count the night's alerts; fail with one sentence if any are missing."""
    from fink_k8s.adapters.kafka.broker import Arrivals
    from fink_k8s.adapters.night.night_reading import PastNight, read_night

    settings = stream_settings(stream)
    settings.need("kafka_servers", "store_prefix")
    begins, ends = _moment_from(start, "start"), _moment_from(end, "end")
    drain = Drained.model_validate(drained or {})
    ended_at = (watched or {}).get("ended_at")
    if not watched and drained and drained.get("ended_at"):
        # A person marked the watch as done, which ended the night when the drain began.
        drain_ended = _moment_from(drained["ended_at"], "drained")
        ends = min(ends, drain_ended - timedelta(seconds=drain.waited_s))
    # A night that was caught up later was watched after its window.
    watched_until = _moment_from(ended_at, "watched") if ended_at else ends
    window = PastNight(
        stream=stream,
        topic=topic,
        start=begins,
        end=ends,
        until=max(ends, watched_until) + timedelta(seconds=drain.waited_s),
        zone=zone,
        expected={int(number): offset for number, offset in (expected or {}).items()},
        is_own_topic=_is_own_topic(stream, topic),
    )
    arrivals = Arrivals(settings.kafka_servers, topic)
    facts = read_night(window, partial(store, settings), arrivals, settings.store_prefix)
    facts = facts.told_by(watched, drained, stopped, adopted=adopted)
    return _judged(facts, needs_proof=require_proof is not False)


def _judged(facts: NightFacts, *, needs_proof: bool) -> dict[str, Any]:
    """Return the facts of a night that passes, and notify the DAGs that wait for it."""
    context = get_current_context()
    told = facts.model_dump(mode="json")
    context["ti"].xcom_push(FACTS, told)
    sentence = sentence_of(facts)
    if not facts.is_verified and (needs_proof or not facts.unseen):
        remedy = (
            "; or set require_proof to false to accept the night without proof"
            if facts.unseen
            else ""
        )
        raise failure_of(f"{sentence.rstrip('.')}{remedy}", retryable=False)
    context["outlet_events"][RAW_NIGHTS].extra = facts.as_extra()
    print(sentence)
    return told


def _moment_from(text: str, field: str) -> datetime:
    try:
        return moment_from(text)
    except InvalidRequest as error:
        raise InvalidRequest(f"{field} {text!r} {error}") from None


def _is_own_topic(stream: str, topic: str) -> bool:
    """Tell whether the topic is for this night only, and was to be read from its first alert."""
    if get_current_context()["params"].get("starting_offsets") == StartingOffsets.LATEST:
        return False
    try:
        survey, night = parse_stream_name(stream)
        return topic == survey_of(survey).topic_of(night)
    except InvalidRequest:
        return False

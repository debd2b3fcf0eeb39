"""The facts of a past night, from the records that outlive it: the store and the topic.

No process needs to have run during the night. The sink's manifest has the time of each file, the
footers have its rows, and the brokers have the arrival times of alerts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fink_k8s.adapters.kafka.broker import Arrivals
from fink_k8s.adapters.store.raw_store import Spans, Store, Written, alerts_in
from fink_k8s.core.base.errors import OutOfSight
from fink_k8s.core.base.progress import Say
from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.night.night_facts import NightFacts, OffsetRange
from fink_k8s.core.night.night_lag import Intake, lag_curve, longest_gap, moments_of
from fink_k8s.core.store.night_paths import raw_path

_LONGEST = timedelta(hours=36)


@dataclass(frozen=True)
class PastNight:
    """The night to read: its stream and topic, when it began and ended.

    Alerts up to `until` belong to it. `expected` holds, by partition, the offset where it had to
    start; a topic for this night only is read from offset 0.
    """

    stream: str
    topic: str
    start: datetime
    end: datetime
    until: datetime
    zone: str = ""
    expected: Mapping[int, int] = field(default_factory=dict)
    is_own_topic: bool = False


def read_night(
    window: PastNight,
    open_store: Callable[[], Store],
    arrivals: Arrivals,
    prefix: str,
    say: Say = print,
) -> NightFacts:
    """Return the facts of a night; `prefix` is the store's address, `say` reports progress.

    If Airflow has no access to the store, the facts have the reason and no counts.

    Raises:
        Unavailable: store or brokers do not answer.
    """
    known = NightFacts(
        stream=window.stream,
        topic=window.topic,
        start=window.start,
        end=window.end,
        until=window.until,
        zone=window.zone,
    )
    known = known.model_copy(update={"address": raw_path(prefix, known.night)})
    try:
        taken = _Taken.of(open_store(), known.night, say)
    except OutOfSight as error:
        return known.model_copy(update={"unseen": str(error)})
    topic = arrivals.span()
    offsets = _offsets(window, taken, topic, arrivals)
    facts = {
        "counts": taken.counts,
        "broken": tuple(f"{one.path}: {one.broken}" for one in taken.files if one.broken),
        "offsets": offsets,
        "topic_is_there": bool(topic),
        "is_own_topic": window.is_own_topic,
    }
    if topic:
        facts |= _lag(window, taken, offsets, arrivals)
    return known.model_copy(update=facts)


@dataclass(frozen=True)
class _Taken:
    """What the night's stream has committed."""

    counts: NightCounts
    spans: Spans
    files: Sequence[Written]

    @classmethod
    def of(cls, store: Store, night: str, say: Say) -> "_Taken":
        batches = store.committed(night)
        if not batches:
            return cls(NightCounts(0, 0, 0, 0), {}, [])
        last = batches[-1]
        spans = store.spans(night, last)
        files = store.written(night, last, say)
        counts = NightCounts(
            batches=last + 1,
            read=alerts_in(spans),
            stored=sum(one.rows for one in files if not one.is_set_aside),
            set_aside=sum(one.rows for one in files if one.is_set_aside),
        )
        return cls(counts, spans, files)


def _offsets(
    window: PastNight,
    taken: _Taken,
    topic: Mapping[int, tuple[int, int]],
    arrivals: Arrivals,
) -> tuple[OffsetRange, ...]:
    """Return each partition that was read or exists; an unread one starts at its first offset.

    A stream set to start at the latest alert skips earlier alerts: unread alerts are a reason only
    if `expected` has the offset where it had to start.
    """
    read = {int(number): span for (name, number), span in taken.spans.items()
            if name == window.topic}  # fmt: skip
    due = arrivals.before(window.until) if topic else {}
    otherwise = 0 if window.is_own_topic else None
    ranges = []
    for number in sorted({*read, *topic}):
        begins, high = topic.get(number, (None, None))
        first = begins if begins is not None else 0
        start, end = read.get(number, (first, first))
        ranges.append(
            OffsetRange(
                partition=number,
                start=start,
                end=end,
                begins=begins,
                due=due.get(number),
                high=high,
                expected=window.expected.get(number, otherwise),
            )
        )
    return tuple(ranges)


def _shown_from(window: PastNight, intake: Intake) -> datetime:
    """Return where the curve starts: with the night, or shortly before its first file.

    A night that was caught up later ran long after its window opened; empty days show nothing.
    """
    if window.until - window.start < _LONGEST:
        return window.start
    first = next(iter(intake.moments), window.until)
    return max(window.start, first - (window.until - first) / 10 - timedelta(minutes=1))


def _lag(
    window: PastNight, taken: _Taken, offsets: Sequence[OffsetRange], arrivals: Arrivals
) -> dict[str, object]:
    starts = {one.partition: one.start for one in offsets}

    def arrived(moment: datetime) -> int:
        before = arrivals.before(moment)
        return sum(max(0, offset - starts[number]) for number, offset in before.items())

    intake = Intake.of((one.at, one.rows) for one in taken.files)
    moments = moments_of(_shown_from(window, intake), window.until, intake)
    return {
        "curve": tuple(lag_curve(moments, arrived, intake)),
        "longest_gap_s": longest_gap(arrived, intake).total_seconds(),
    }

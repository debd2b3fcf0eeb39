"""The facts of a night, as tests want them."""

from datetime import UTC, datetime, timedelta

from fink_k8s.core.night.night_counts import NightCounts
from fink_k8s.core.night.night_facts import NightFacts, OffsetRange
from fink_k8s.core.night.night_lag import LagPoint
from fink_k8s.core.stream.restarts import Restart

START = datetime(2026, 1, 1, 18, tzinfo=UTC)
END = START + timedelta(hours=10)


def facts_of(stream="stream2raw-ztf-20260101", **changes):
    """Return a verified night of 1,234 alerts, four of them set aside."""
    night = stream.rpartition("-")[2]
    values = {
        "stream": stream,
        "topic": f"ztf_public_{night}",
        "start": START,
        "end": END,
        "until": END,
        "address": f"s3a://fink/raw/{night}",
        "counts": NightCounts(120, 1234, 1230, 4),
        "offsets": (partition(0, 0, 1234),),
        "longest_gap_s": 52.0,
        "curve": tuple(
            LagPoint(at=START + timedelta(hours=n), arrived=123 * n, taken=123 * n - n % 3)
            for n in range(11)
        ),
    }
    return NightFacts(**(values | changes))


def partition(number, start, end, **known):
    """Return a partition that was read to its end, unless `known` says otherwise."""
    given = {"begins": start, "due": end, "high": end} | known
    return OffsetRange(partition=number, start=start, end=end, **given)


def restart(hours=3, cause="driver deleted", back_after_s=38.0):
    """Return a restart, so many hours into the night."""
    return Restart(
        at=START + timedelta(hours=hours, minutes=3, seconds=10),
        cause=cause,
        by="operator",
        back_after_s=back_after_s,
    )

"""What a night's stream has committed: counted in the store, or reported by the driver."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fink_k8s.adapters.base.cluster import Cluster
from fink_k8s.adapters.store.raw_store import Store
from fink_k8s.core.base.errors import OutOfSight
from fink_k8s.core.night.night_counts import NightCounts, counts_said
from fink_k8s.core.stream.stream_names import driver_pod_name, parse_stream_name

# A line of a batch has some 250 characters: half a megabyte at most.
_LINES = 2000
_ELSEWHERE = (
    "the driver speaks of {} batches, but the store shows none of them: does Airflow look where "
    "the driver writes? check FINK_STORE_PREFIX, FINK_STORE_ENDPOINT and FINK_STORE_MOUNT"
)


class CountSource(StrEnum):
    """Who counted."""

    STORE = "store"
    DRIVER = "driver"


@dataclass(frozen=True)
class Count:
    """The counts, who gave them, and why they may not be what one expects."""

    counts: NightCounts
    source: CountSource
    why: str = ""

    def __str__(self) -> str:
        """Return the counts and how they came about, in one line."""
        counts = self.counts
        numbers = (
            f"{counts.batches} batches committed: {counts.read} alerts read = {counts.stored} "
            f"stored + {counts.set_aside} set aside"
        )
        if self.source is CountSource.STORE:
            return f"{numbers}; counted in the store"
        return f"{numbers}; the driver says so, no row was counted: {self.why}"


def count_night(
    open_store: Callable[[], Store], cluster: Cluster, namespace: str, stream: str
) -> Count:
    """Count the rows in the store; where nobody here sees it, take the driver's word.

    What the driver says is of this driver alone, and no row of it was seen. Where the store shows
    nothing of batches that the driver speaks of, it is probably another store than the driver's.
    """
    _, night = parse_stream_name(stream)

    def said() -> NightCounts:
        return counts_said(cluster.driver_log(namespace, driver_pod_name(stream), _LINES))

    try:
        counts = open_store().counts(night)
    except OutOfSight as error:
        return Count(said(), CountSource.DRIVER, str(error))
    if counts.batches == 0 and (batches := said().batches):
        return Count(counts, CountSource.STORE, _ELSEWHERE.format(batches))
    return Count(counts, CountSource.STORE)

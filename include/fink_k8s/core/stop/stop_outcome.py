"""The outcome of a stop, one line per stream: how it ended, what was removed, what was kept.

Pure: from a finished course and the state of the store to an outcome.
"""

from collections import Counter
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from fink_k8s.core.stop.stop_course import Course
from fink_k8s.core.store.night_paths import checkpoint_path, quarantine_path, raw_path


class Ending(StrEnum):
    """How a stream ended."""

    ALREADY_SO = "already-so"
    NO_DRIVER = "no-driver"
    GRACEFUL = "graceful"
    UNPROVED = "unproved"
    ABRUPT = "abrupt"
    KILLED = "killed"


class Kept(BaseModel):
    """What a stop keeps, and its state in the store as far as it can be read."""

    model_config = ConfigDict(frozen=True)

    data: str = ""
    checkpoint: str = ""
    quarantine: str = ""
    claims: tuple[str, ...] = ()
    planned: int | None = None
    committed: int | None = None
    counts: dict[str, int] | None = None
    unread: str = ""

    @classmethod
    def of_night(cls, prefix: str, night: str) -> Self:
        """Return the paths of a night, without reading them."""
        return cls(
            data=raw_path(prefix, night),
            checkpoint=checkpoint_path(prefix, night),
            quarantine=quarantine_path(prefix, night),
        )

    @property
    def open_batch(self) -> int | None:
        """Return the batch that was started but not committed, if there is one."""
        if self.planned is None or self.planned == self.committed:
            return None
        return self.planned


class StopOutcome(BaseModel):
    """The outcome of one stream's stop; its fields go to XCom."""

    model_config = ConfigDict(frozen=True)

    stream: str
    was: str
    ending: Ending
    seconds: float
    exit_code: int | None
    said: str
    removed: tuple[str, ...]
    kept: Kept
    line: str


def outcome_of(course: Course, kept: Kept, seconds: float) -> StopOutcome:
    """Return the outcome of a finished course: nothing of the stream is left in the cluster.

    An end counts as graceful only if the checkpoint shows that the last started batch is committed.
    The driver's exit code can disprove a graceful end, but cannot prove it.
    """
    ending = _ending_of(course, kept)
    line = " ".join(
        part
        for part in (
            f"{course.stream}: {_ending_in_words(course, ending, seconds)}.",
            _batches_in_words(course, kept),
            f"Removed: {_counted(course.found)}." if course.found else "",
            _kept_in_words(kept),
        )
        if part
    )
    return StopOutcome(
        stream=course.stream,
        was=course.was,
        ending=ending,
        seconds=round(seconds, 1),
        exit_code=course.end.exit_code,
        said=course.end.said,
        removed=course.found,
        kept=kept,
        line=line,
    )


def _ending_of(course: Course, kept: Kept) -> Ending:
    if not course.found:
        return Ending.ALREADY_SO
    if not course.was_alive:
        return Ending.NO_DRIVER
    if course.killed or course.forced:
        return Ending.KILLED
    if course.end.exit_code not in (None, 0) or kept.open_batch is not None:
        return Ending.ABRUPT
    return Ending.UNPROVED if kept.unread else Ending.GRACEFUL


def _ending_in_words(course: Course, ending: Ending, seconds: float) -> str:
    end = course.end
    told = f"exit code {end.exit_code}" if end.exit_code is not None else "exit code not seen"
    if end.said:
        told += f", its last message: {end.said}"
    match ending:
        case Ending.ALREADY_SO:
            return "nothing to stop, it does not exist"
        case Ending.NO_DRIVER:
            return f"was {course.was} without a live driver, removed in {seconds:.1f} s"
        case Ending.GRACEFUL:
            return f"was {course.was}, ended gracefully in {seconds:.1f} s ({told})"
        case Ending.KILLED:
            return f"was {course.was}, killed after {seconds:.1f} s ({told})"
        case Ending.UNPROVED:
            return f"was {course.was}, ended by itself in {seconds:.1f} s ({told})"
        case Ending.ABRUPT:
            return f"was {course.was}, ended in {seconds:.1f} s, not gracefully ({told})"


def _batches_in_words(course: Course, kept: Kept) -> str:
    if kept.unread:
        return f"Could not read whether its last batch is committed: {kept.unread}."
    if kept.open_batch is not None:
        return (
            f"Batch {kept.open_batch} was started but not committed; the next start repeats it, so "
            "nothing is lost or duplicated."
        )
    if kept.committed is None:
        return "No batch was started: it has no data and no checkpoint."
    return f"Its last batch, {kept.committed}, is committed."


def _kept_in_words(kept: Kept) -> str:
    may_be_there = kept.data and (kept.unread or kept.planned is not None)
    parts = [f"data {kept.data}", f"checkpoint {kept.checkpoint}"] if may_be_there else []
    if kept.counts:
        counts = kept.counts
        parts.append(
            f"{counts['batches']} batches: {counts['read']} read = {counts['stored']} stored + "
            f"{counts['set_aside']} set aside"
        )
    parts += [f"claim {claim}" for claim in kept.claims]
    return f"Kept: {', '.join(parts)}." if parts else ""


def _counted(names: tuple[str, ...]) -> str:
    kinds = Counter(name.partition(" ")[0] for name in names)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))

"""The restarts of a night's stream: those on record, and new ones to record."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from fink_k8s.core.diagnosis.evidence import Evidence
from fink_k8s.core.health.stream_health import Health, HealthVerdict
from fink_k8s.core.night.driver_history import DriverHistory
from fink_k8s.core.stream.restarts import Restart, RestartedBy, is_told, restarts_of

UNSEEN = "the driver was deleted, or its end was not seen"


@dataclass(frozen=True)
class RestartLog:
    """The restarts of one stream, up to the last look; oldest first."""

    history: tuple[Restart, ...] = ()
    """The restarts recorded on the stream itself."""
    news: tuple[Restart, ...] = ()
    """The same plus what the last look adds; empty if it adds nothing."""
    _over: Mapping[datetime, Restart] = field(default_factory=dict)
    """The restarts that this watch has seen completed, by time."""

    @property
    def known(self) -> tuple[Restart, ...]:
        """Return all known restarts."""
        return self.news or self.history

    def after(
        self,
        evidence: Evidence,
        health: Health,
        driver: DriverHistory,
        now: datetime,
        *,
        was_down: bool,
    ) -> Self:
        """Return the log with one more look at an existing stream.

        Args:
            evidence: what is seen of the stream.
            health: what `evidence` shows.
            driver: the history of its drivers, this look included.
            now: the present moment, aware.
            was_down: whether no query was alive at the previous look.
        """
        noted = tuple(restarts_of(evidence.application or evidence.driver))
        log = replace(self, history=tuple(self._over.get(one.at, one) for one in noted), news=())
        if restart := log._new_restart(evidence, driver, now):
            return replace(log, news=(*log.history, restart))
        # Only an application keeps the record; for a driver, this watch knows only what it saw.
        is_seen = was_down or evidence.application is not None
        is_back = health.verdict is HealthVerdict.HEALTHY and is_seen
        if is_back and log.history and not log.history[-1].is_over:
            return log._having_seen_it_back(now)
        if evidence.application and log.history != noted:
            return replace(log, news=log.history)  # not recorded so far
        return log

    def _new_restart(
        self, evidence: Evidence, driver: DriverHistory, now: datetime
    ) -> Restart | None:
        """Return the restart by the operator that is not on record yet."""
        uid = str((evidence.application or {}).get("metadata", {}).get("uid", ""))
        if is_told(self.history, uid, evidence.starts):
            return None
        return Restart(
            at=driver.down_since or now,
            cause=driver.cause or UNSEEN,
            by=RestartedBy.OPERATOR,
            lived_s=round(driver.before_s if evidence.driver_started else driver.lived_s, 1),
            application=uid,
        )

    def _having_seen_it_back(self, now: datetime) -> Self:
        """Return the log with the last restart completed: a query is alive again."""
        *earlier, last = self.history
        back = max(0.0, round((now - last.at).total_seconds(), 1))
        over = last.model_copy(update={"back_after_s": back})
        return replace(self, news=(*earlier, over), _over={**self._over, last.at: over})

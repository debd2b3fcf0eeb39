"""How the watch of a night's stream ended, as the trigger reports it to the task; pure."""

import json
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from fink_k8s.core.base.names import ANNOTATION_SPEC
from fink_k8s.core.night.driver_history import DriverHistory
from fink_k8s.core.stream.restarts import Restart

ENDED_BY_SOMEBODY = (
    "the stream is gone: it was stopped, or its application was deleted; to continue the night, "
    "trigger the night DAG again"
)


class Sign(StrEnum):
    """Why a watch ended."""

    TIME_IS_UP = "time-is-up"
    DRAINED = "drained"
    DIED = "died"
    GONE = "gone"
    UNWATCHABLE = "unwatchable"


class WatchEnd(BaseModel):
    """How a watch ended.

    `lived_s` is how long the dead driver had run, in seconds. `holder` is the uid of what still has
    the stream's name, its application or a driver without one; empty if nothing is left.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sign: Sign
    reason: str = ""
    lived_s: float = 0
    holder: str = ""


def _spec_from(value: Any) -> Any:
    """Return a spec given as text, as in a driver's annotation, which is not trusted."""
    if not isinstance(value, str):
        return value
    try:
        spec = json.loads(value or "{}")
    except ValueError:
        return {}
    return spec if isinstance(spec, dict) else {}


class WatchEvent(WatchEnd):
    """How a watch ended, and what the next start needs to know of the stream.

    It is stored in Airflow's database as JSON, possibly across a deployment: unknown fields are
    ignored, and missing ones get their defaults.
    """

    lag: int | None = None
    """Alerts that are not committed; None if it was not measured."""
    restarts: tuple[Restart, ...] = ()
    born: Annotated[AwareDatetime | None, BeforeValidator(lambda value: value or None)] = None
    """When the last driver seen was created; None if none was seen."""
    spec: Annotated[dict[str, Any], BeforeValidator(_spec_from)] = {}
    """The spec of that driver, if its annotations have it."""

    @classmethod
    def of(
        cls, end: WatchEnd, driver: DriverHistory, restarts: tuple[Restart, ...], lag: int | None
    ) -> Self:
        """Return the event of a watch that ended with `end`, with what it has seen."""
        metadata = (driver.last or {}).get("metadata", {})
        return cls.model_validate(
            {
                **end.model_dump(),
                "lag": lag,
                "restarts": restarts,
                "born": metadata.get("creationTimestamp"),
                "spec": (metadata.get("annotations") or {}).get(ANNOTATION_SPEC, ""),
            }
        )

    @property
    def leaves_nothing(self) -> bool:
        """Tell whether the stream is dead or gone, with nothing left to show which."""
        return self.sign in {Sign.DIED, Sign.GONE} and not self.holder

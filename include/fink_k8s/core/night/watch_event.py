"""How the watch over a night's stream ended, as its trigger reports it to the task; pure."""

import json
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from fink_k8s.core.base.names import ANNOTATION_SPEC
from fink_k8s.core.night.driver_history import DriverHistory
from fink_k8s.core.stream.restarts import Restart

ENDED_BY_SOMEBODY = (
    "the stream is gone: somebody ended it, or deleted its application; trigger fink_night again "
    "to go on with the night"
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

    `lived_s` is how long the driver that died had run. `holder` is the uid of what still holds the
    stream's name, its application or a driver without one; empty where nothing is left.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sign: Sign
    reason: str = ""
    lived_s: float = 0
    holder: str = ""


def _spec_from(value: Any) -> Any:
    """Return a spec that came as text: a driver bears it so, and what it bears is not trusted."""
    if not isinstance(value, str):
        return value
    try:
        spec = json.loads(value or "{}")
    except ValueError:
        return {}
    return spec if isinstance(spec, dict) else {}


class WatchEvent(WatchEnd):
    """How a watch ended, and what the next start needs to know of the stream.

    It waits in Airflow's database as JSON, and a deployment may come in between: fields that are
    not known are ignored, missing ones have their defaults.
    """

    lag: int | None = None
    """Alerts that are not committed; None where nobody asked."""
    restarts: tuple[Restart, ...] = ()
    born: Annotated[AwareDatetime | None, BeforeValidator(lambda value: value or None)] = None
    """When the driver that was seen last was made; None where none was seen."""
    spec: Annotated[dict[str, Any], BeforeValidator(_spec_from)] = {}
    """What that driver was made from, where it bears that."""

    @classmethod
    def of(
        cls, end: WatchEnd, driver: DriverHistory, restarts: tuple[Restart, ...], lag: int | None
    ) -> Self:
        """Return the event of a watch that ended so, with what it has seen."""
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
        """Tell whether the stream is dead or gone, and nothing is left that tells which."""
        return self.sign in {Sign.DIED, Sign.GONE} and not self.holder

"""The surveys from which Fink ingests alerts, as data: `include/surveys.yaml`, or your own file.

A survey is a row of that file and, where this project's job reads its alerts, a module of
`include/stream2raw/surveys` and a schema in `include/stream2raw/schemas`. DAGs, forms, names,
paths and docs follow from the row.
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from fink_k8s.core.base.errors import InvalidRequest, shown
from fink_k8s.core.base.fields import OrEmpty, refusal_of
from fink_k8s.core.config.night_windows import NightWindow, window_from
from fink_k8s.core.kafka.servers import KafkaServers
from fink_k8s.core.kafka.topics import topic_from
from fink_k8s.core.store.stores import prefix_below

SURVEYS_VARIABLE = "FINK_SURVEYS"
SHIPPED = Path(__file__).resolve().parents[3] / "surveys.yaml"
READERS = SHIPPED.parent / "stream2raw/surveys"
"""The job's modules, one for each `-producer` that this project's job supports."""

_REPLACED = {
    "FINK_NIGHTS": "`night` of the survey",
    "FINK_TOPICS": "`topic` of the survey",
    "FINK_NIGHT_SURVEY": "an entry for each survey (each has its own night DAG)",
    "FINK_NIGHT_FORM": "`form` of the survey",
}
"""Variables of earlier versions, and what replaces them."""

_NAME = r"^[a-z][a-z0-9]{0,19}$"
_COLUMN = r"^([A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*)?$"


def _topic_template_from(text: str) -> str:
    if text.count("{night}") != 1:
        raise ValueError("is the same for every night; write {night} in place of the date")
    topic_from(text.replace("{night}", "20260101"))
    return text


def _folder_of_store_from(text: str) -> str:
    prefix_below("s3a://bucket", text)
    return text.rstrip("/")


TopicTemplate = Annotated[str, AfterValidator(_topic_template_from)]
"""A topic with `{night}` in it."""
FolderOfStore = Annotated[str, AfterValidator(_folder_of_store_from)]
"""A folder below FINK_STORE_PREFIX, or a store's whole address; empty for FINK_STORE_PREFIX."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NightHours(_Row):
    """When a night opens and closes, in local time."""

    zone: str = Field(description="Time zone, a name from the IANA database.")
    opens: str = Field(description="Local time at which a night starts, `HH:MM`.")
    closes: str = Field(
        description="Local time at which it ends, `HH:MM`; on the next day unless it is after "
        "`opens`."
    )

    @model_validator(mode="after")
    def _check_window(self) -> "NightHours":
        self.window  # noqa: B018 - raises what is wrong
        return self

    @property
    def window(self) -> NightWindow:
        """Return the window of a night."""
        return window_from(f"{self.zone} {self.opens}-{self.closes}")


class Brokers(_Row):
    """Where a survey's alerts come from; FINK_KAFKA_SERVERS if neither is set."""

    connection: str = Field(
        "",
        description="Airflow connection of type `kafka` that has `bootstrap.servers` in its extra.",
        pattern=r"^[A-Za-z0-9_.-]*$",
    )
    servers: OrEmpty[KafkaServers] = Field(
        "", description="Kafka brokers, as comma-separated `host:port`."
    )

    @model_validator(mode="after")
    def _check_one(self) -> "Brokers":
        if self.connection and self.servers:
            raise ValueError("sets both connection and servers; keep only one of them")
        return self


class Survey(_Row):
    """One survey: its nights, its alerts, and where they go."""

    name: str = Field(
        description="Short name, for DAG ids, stream names, labels and forms.", pattern=_NAME
    )
    producer: str = Field(
        "",
        description="Fink's `-producer`, which determines how alerts are read. Default: the "
        "survey's name.",
        pattern=r"^([a-z][a-z0-9]{0,19})?$",
    )
    night: NightHours = Field(description="When the survey's nights start and end.")
    topic: OrEmpty[TopicTemplate] = Field(
        "",
        description="Kafka topic of a night, with `{night}` in place of its date. Leave empty "
        "if each run names its own topic.",
    )
    brokers: Brokers = Field(
        Brokers(), description="Where the alerts come from. Default: FINK_KAFKA_SERVERS."
    )
    schema_file: str = Field(
        "",
        alias="schema",
        description="File in `include/stream2raw/schemas` with which this project's job reads "
        "the alerts. Leave empty if only Fink's code reads them.",
        pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*\.avsc)?$",
    )
    store_prefix: FolderOfStore = Field(
        "",
        description="Folder in FINK_STORE_PREFIX, or a complete store address. Each survey "
        "needs its own.",
    )
    key: str = Field("", description="Column that identifies an alert.", pattern=_COLUMN)
    time: str = Field("", description="Column with the time of the observation.", pattern=_COLUMN)
    form: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Defaults for the form of the survey's night DAG.",
    )

    @property
    def window(self) -> NightWindow:
        """Return the window of the survey's nights."""
        return self.night.window

    @property
    def reader(self) -> str:
        """Return what the job is given as `-producer`."""
        return self.producer or self.name

    @property
    def refusal(self) -> str:
        """Return why this project's job does not read the survey's alerts; empty where it does."""
        module = READERS / f"{self.reader}.py"
        if self.schema_file and module.is_file():
            return self._mismatch(module)
        return (
            f"survey {self.name}: this project's job cannot read its alerts; build Fink's code "
            "(fink_source), or set main_file to the program of an image that can read them"
        )

    def _mismatch(self, module: Path) -> str:
        """Return what in the row does not fit the job's module; empty if all does."""
        if not (READERS.parent / "schemas" / self.schema_file).is_file():
            return (
                f"survey {self.name}: schema {self.schema_file} does not exist; add it to "
                "include/stream2raw/schemas"
            )
        # The module needs Spark to be imported; its constants do not.
        read = dict(re.findall(r'^(KEY|TIME) = "([^"]+)"$', module.read_text("utf-8"), re.M))
        for field, column in (("key", read.get("KEY")), ("time", read.get("TIME"))):
            given = getattr(self, field)
            if given and given != column:
                return (
                    f"survey {self.name}: {field} is {given}, but this project's job reads "
                    f"{column}; correct it in surveys.yaml, or choose another producer"
                )
        return ""

    def topic_of(self, night: str) -> str:
        """Return the topic on which the survey publishes a night.

        Raises:
            InvalidRequest: the survey has no topic for each night.
        """
        if not self.topic:
            raise InvalidRequest(
                f"topic is empty, and surveys.yaml has no topic for survey {self.name}; enter "
                "the topic, or add it to surveys.yaml"
            )
        return self.topic.format(night=night)


class Surveys(_Row):
    """Every survey of an installation; the first one is the default of the forms."""

    surveys: tuple[Survey, ...]

    @model_validator(mode="after")
    def _check_apart(self) -> "Surveys":
        if not self.surveys:
            raise ValueError("the list of surveys is empty; add at least one")
        for field, rule in (("name", "give each survey its own"), ("store_prefix", _OWN_FOLDER)):
            values = [getattr(survey, field) for survey in self.surveys]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"two surveys have {field} {shown(value)}; {rule}")
        return self

    @property
    def names(self) -> list[str]:
        """Return the surveys' names, in the order of the file."""
        return [survey.name for survey in self.surveys]

    def get(self, name: str) -> Survey:
        """Return the survey of that name.

        Raises:
            InvalidRequest: the survey does not exist; the message lists the known ones.
        """
        for survey in self.surveys:
            if survey.name == name:
                return survey
        raise InvalidRequest(f"survey {shown(name)} is unknown; use one of {', '.join(self.names)}")


_OWN_FOLDER = "give each survey its own folder; otherwise two streams would write to the same one"


def surveys_from(text: str, source: str = "surveys.yaml") -> Surveys:
    """Return the surveys of a YAML text.

    Raises:
        InvalidRequest: it is not valid; the message names `source`, the survey, field and rule.
    """
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidRequest(f"{source} is not valid YAML: {error}") from error
    try:
        return Surveys.model_validate(loaded)
    except ValidationError as error:
        raise InvalidRequest(f"{source}: {_named(refusal_of(error), loaded)}") from None


def _named(refusal: str, loaded: Any) -> str:
    """Return a refusal that calls each survey by its name, not by its number."""

    def name_of(match: re.Match[str]) -> str:
        try:
            return f"survey {loaded['surveys'][int(match[1])]['name']}: "
        except (KeyError, TypeError):
            return f"survey number {int(match[1]) + 1}: "

    return re.sub(r"\bsurveys\.([0-9]+)\.", name_of, refusal)


def load_surveys() -> Surveys:
    """Return the installation's surveys: of the file FINK_SURVEYS, else of those shipped.

    Raises:
        InvalidRequest: the file cannot be read, or is not valid, or a variable that it replaces
            is still set.
    """
    for variable, instead in _REPLACED.items():
        if os.environ.get(variable):
            raise InvalidRequest(
                f"{variable} is no longer used; unset it, copy include/surveys.yaml, name your "
                f"copy in {SURVEYS_VARIABLE}, and set {instead} there"
            )
    path = Path(os.environ.get(SURVEYS_VARIABLE) or SHIPPED)
    try:
        return _load(path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidRequest(
            f"{SURVEYS_VARIABLE} {path} cannot be read ({why}); set it to a file that every "
            "Airflow component can read"
        ) from error


@lru_cache(maxsize=8)
def _load(path: Path, changed: int) -> Surveys:
    """Read a file again only if it has changed: every form and every name needs it."""
    return surveys_from(path.read_text("utf-8"), str(path))


def survey_of(name: str) -> Survey:
    """Return the installation's survey of that name; see `Surveys.get`."""
    return load_surveys().get(name)


def default_survey() -> str:
    """Return the name of the survey that forms begin with."""
    return load_surveys().names[0]


class _NamesOfTheFile:
    """Offers in a form the names of the file's surveys, whichever file that is."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": load_surveys().names}


SurveyName = Annotated[str, AfterValidator(lambda name: survey_of(name).name), _NamesOfTheFile()]
"""A field for the name of one of the installation's surveys."""

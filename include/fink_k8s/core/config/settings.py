"""What an installation configures once: where the cluster's parts and the stores are.

Everything here comes from environment variables `FINK_*`, never from a trigger form: whoever
may choose the account, the image repository or the store chooses what the cluster runs.
Secrets are not settings: pods take them from the Secret `store_secret`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fink_k8s.core.base.errors import InvalidRequest
from fink_k8s.core.base.fields import OrEmpty
from fink_k8s.core.base.image_references import ImageRepository, is_image_reference
from fink_k8s.core.base.names import KubernetesName
from fink_k8s.core.config.sources import FolderPath, SourcePlaces
from fink_k8s.core.config.surveys import Survey, Surveys, load_surveys
from fink_k8s.core.kafka.servers import KafkaServers
from fink_k8s.core.store.night_paths import NIGHT_FOLDERS
from fink_k8s.core.store.store_kind import StoreKind
from fink_k8s.core.store.stores import StoreSettings, prefix_below, store_of

ENV_PREFIX = "FINK_"

_JAR = r"[\w.-]+:[\w.-]+:[\w.-]+@sha256:[0-9a-f]{64}"
_JARS = re.compile(rf"{_JAR}( *, *{_JAR})*", re.ASCII)


def _filled_in(text: str, placeholder: str, value: str) -> str:
    return text.replace("{" + placeholder + "}", value)


def _image_base_from(text: str) -> str:
    if not is_image_reference(_filled_in(text, "java", "17")):
        raise ValueError(
            "is not a valid image reference; enter host[:port]/path:tag or ...@sha256:..., with "
            "{java} in place of the Java version"
        )
    return text


def _spark_url_from(text: str) -> str:
    if set("{}") & set(_filled_in(text, "version", "3.5.7")):
        raise ValueError(
            "contains a brace that is not part of {version}; use {version} for the Spark version, "
            "and no other braces"
        )
    return text


def _pinned_jars_from(text: str) -> str:
    if _JARS.fullmatch(text) is None:
        raise ValueError(
            "has an entry that is not of the form group:artifact:version@sha256:<64 hex digits>"
        )
    return text


ImageBase = Annotated[str, AfterValidator(_image_base_from)]
"""An image with tag or digest, in which `{java}` may stand for a version."""
SparkUrl = Annotated[str, AfterValidator(_spark_url_from)]
"""An address in which `{version}` may stand for that of Spark."""
PinnedJars = Annotated[str, AfterValidator(_pinned_jars_from)]
"""Jars with their checksums, comma-separated."""


def default_cache_dir() -> Path:
    """Return the directory for downloads and builds that outlive a checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "fink-k8s-airflow"


class Settings(StoreSettings, BaseSettings):
    """The installation's configuration; a field `x` is set by the variable `FINK_X`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    namespace: KubernetesName = Field("spark", description="Namespace in which the streams run.")
    operator_namespace: KubernetesName = Field(
        "spark-operator", description="Namespace of the Spark Operator's controller and webhook."
    )
    service_account: KubernetesName = Field("spark", description="Service account of the drivers.")
    kafka_servers: OrEmpty[KafkaServers] = Field(
        "", description="Kafka brokers, as comma-separated `host:port`.", examples=["kafka:9092"]
    )
    image_repository: OrEmpty[ImageRepository] = Field(
        "",
        description="Repository of the stream's image, without a tag.",
        examples=["localhost:5000/fink/stream2raw"],
    )
    image_base: OrEmpty[ImageBase] = Field(
        "",
        description="Base image with Java and Python, with a tag or digest. `{java}` in it is "
        "replaced by the Java version of the release.",
        examples=["localhost:5000/fink/base:java{java}"],
    )
    image_pull_secret: OrEmpty[KubernetesName] = Field(
        "",
        description="Kubernetes Secret with which the cluster pulls from a registry that needs "
        "a login. The stage `rbac` creates it from the connection `docker_default`.",
        examples=["fink-registry"],
    )
    image_requirements: OrEmpty[FolderPath] = Field(
        "",
        description="File on the worker with the Python packages that every image gets, in the "
        "format of pip's requirements files.",
        examples=["/opt/fink/requirements.txt"],
    )
    sources: SourcePlaces = Field(
        "",
        description="Where Fink's code may come from: comma-separated folders on the worker, "
        "which contain folders and tarballs, and git addresses. Everything below "
        "them is allowed.",
        examples=["/opt/fink/sources,https://github.com/astrolabsoftware"],
    )
    dockerfiles: OrEmpty[FolderPath] = Field(
        "",
        description="Folder on the worker. Each folder in it holds a Dockerfile of your own and "
        "the files that it copies.",
        examples=["/opt/fink/dockerfiles"],
    )
    extra_jars: OrEmpty[PinnedJars] = Field(
        "",
        description="JARs that a form may add, as comma-separated "
        "`group:artifact:version@sha256:...`.",
    )
    wheels: OrEmpty[FolderPath] = Field(
        "",
        description="Folder on the worker with wheels of Python packages for which the package "
        "index has no wheel.",
        examples=["/opt/fink/wheels"],
    )
    spark_url: OrEmpty[SparkUrl] = Field(
        "",
        description="Where to download Spark, `https://` or `file://`: the source archive of "
        "pyspark, or an archive with the official layout. `{version}` in it is "
        "replaced by the Spark version of the release.",
        examples=["https://archive.example.org/pyspark-{version}.tar.gz"],
    )
    cache_dir: Path = Field(
        default_factory=default_cache_dir, description="Folder for downloads and build results."
    )
    diagnosis_dir: str = Field(
        "",
        description="Folder on the workers for the bundles of `fink_diagnose`, and for the "
        "reports of nights if Airflow cannot read the store. Leave empty for "
        "`diagnosis/` in the store.",
        examples=["/var/lib/fink/diagnosis"],
    )

    health_minutes: int = Field(
        5,
        description="How often `fink_health` checks all streams, in minutes.",
        ge=1,
        le=1440,
    )
    surveys: str = Field(
        "",
        description="File with the installation's surveys: the hours of their nights, topics, "
        "brokers, folders, forms. Leave empty for include/surveys.yaml, which you "
        "can copy.",
        examples=["/opt/fink/surveys.yaml"],
    )

    def image_base_of(self, java: int) -> str:
        """Return the base image for a Java."""
        return _filled_in(self.image_base, "java", str(java))

    def spark_url_of(self, version: str) -> str:
        """Return the address of a Spark's archive."""
        return _filled_in(self.spark_url, "version", version)

    @property
    def store(self) -> StoreKind:
        """Return the store that `store_prefix` names, which must be configured."""
        self.need("store_prefix")
        try:
            return store_of(self)
        except ValueError as error:
            raise InvalidRequest(f"the address of the store {error}") from error

    def at_store(self, url: str) -> Settings:
        """Return the settings for the store that a stream writes to by its own word.

        `url` is what its job was given. A claim is only a folder to a job; the one that is
        configured is known by it.
        """
        is_mine = bool(self.store_prefix) and url == self.store.url
        return self if is_mine or not url else self.model_copy(update={"store_prefix": url})

    def for_survey(self, survey: Survey) -> Settings:
        """Return the settings of one survey: its own brokers, and its own folder of the store.

        Brokers that an Airflow connection names are not known here.
        """
        own: dict[str, str] = {}
        if survey.brokers.servers:
            own["kafka_servers"] = survey.brokers.servers
        if survey.store_prefix and (self.store_prefix or "://" in survey.store_prefix):
            own["store_prefix"] = prefix_below(self.store_prefix, survey.store_prefix)
        return self.model_copy(update=own)

    def need(self, *fields: str) -> None:
        """Check that `fields` are configured.

        Raises:
            InvalidRequest: one is empty; the message names its environment variable.
        """
        for field in fields:
            if not getattr(self, field):
                meaning = type(self).model_fields[field].description
                raise InvalidRequest(
                    f"{ENV_PREFIX}{field.upper()} is not set ({meaning}); set it in the "
                    "environment of every Airflow component, e.g. in .env"
                )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        InvalidRequest: a variable breaks its rule; the message names it, never its value.
    """
    surveys = load_surveys()
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = f"{ENV_PREFIX}{'_'.join(str(part) for part in first['loc'])}".upper()
        rule = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{name} {rule}") from None
    _check_folders(settings, surveys)
    return settings


def _check_folders(settings: Settings, surveys: Surveys) -> None:
    """Refuse surveys whose streams would write to the same folders, however they are written."""
    owners: dict[str, str] = {}
    for survey in surveys.surveys:
        prefix = settings.for_survey(survey).store_prefix.rstrip("/")
        if not prefix:
            continue
        for part in NIGHT_FOLDERS:
            folder = f"{prefix}/{part}"
            for other, owner in owners.items():
                if f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/"):
                    raise InvalidRequest(
                        f"surveys {owner} and {survey.name} would both write to {folder}; give "
                        "each its own store_prefix in surveys.yaml"
                    )
        owners |= {f"{prefix}/{part}": survey.name for part in NIGHT_FOLDERS}

"""What an installation configures once: where the cluster's parts and the stores are.

Everything here comes from environment variables `FINK_*`, never from a trigger form: whoever
may choose the account, the image repository or the store chooses what the cluster runs.
Secrets are not settings: pods take them from the Secret `store_secret`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fink_k8s.core.errors import InvalidRequest
from fink_k8s.core.names import kubernetes_name

ENV_PREFIX = "FINK_"
STORE_SCHEMES = ("s3a", "hdfs")

_SERVER = re.compile(r"(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[0-9]{1,5})")
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_HTTP = re.compile(rf"https?://{_HOST}(:(?P<port>[0-9]{{1,5}}))?(?P<rest>[/?# ].*)?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")
_PATH = re.compile(r"(/[A-Za-z0-9._=-]+)*/?")
# The grammar of image references: https://github.com/distribution/reference
_REPOSITORY = re.compile(
    r"([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*(:[0-9]{1,5})?/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


def default_cache_dir() -> Path:
    """Return the directory for downloads and builds that outlive a checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "fink-k8s-airflow"


class Settings(BaseSettings):
    """The installation's configuration; a field `x` is set by the variable `FINK_X`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    namespace: str = Field("spark", description="Namespace in which the streams run.")
    operator_namespace: str = Field(
        "spark-operator", description="Namespace of the Spark Operator's controller and webhook."
    )
    service_account: str = Field("spark", description="Service account of the drivers.")
    kafka_servers: str = Field(
        "", description="Kafka brokers, `host:port` with commas between.", examples=["kafka:9092"]
    )
    store_prefix: str = Field(
        "", description="Where raw alerts and checkpoints go.", examples=["s3a://fink"]
    )
    store_endpoint: str = Field(
        "",
        description="Address of the S3 server; empty for that of AWS.",
        examples=["http://s3:7070"],
    )
    store_region: str = Field("us-east-1", description="Region of the S3 server.")
    store_secret: str = Field(
        "fink-store", description="Kubernetes Secret with the keys `access-key` and `secret-key`."
    )
    image_repository: str = Field(
        "",
        description="Repository of the stream's image, without tag.",
        examples=["localhost:5000/fink/stream2raw"],
    )
    image_base: str = Field(
        "",
        description="Base image with Java and Python, with tag or digest.",
        examples=["localhost:5000/fink/base:bookworm"],
    )
    spark_url: str = Field(
        "",
        description="Where Spark distributions come from: a directory of the official archive's "
        "layout, or the address or file of a PyPI source archive.",
    )
    cache_dir: Path = Field(
        default_factory=default_cache_dir, description="Directory of downloads and build results."
    )
    diagnosis_dir: str = Field(
        "",
        description="Folder on the workers for the bundles of `fink_diagnose`; empty for "
        "`diagnosis/` in the store.",
        examples=["/var/lib/fink/diagnosis"],
    )

    @field_validator("namespace", "operator_namespace", "service_account", "store_secret")
    @classmethod
    def _check_kubernetes_name(cls, value: str) -> str:
        return kubernetes_name(value, field="name")

    @field_validator("kafka_servers")
    @classmethod
    def _check_servers(cls, value: str) -> str:
        return value if value == "" else kafka_servers_from(value)

    @field_validator("store_prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        return value if value == "" else store_prefix_from(value)

    @field_validator("store_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        return value if value == "" else _endpoint_from(value)

    @field_validator("image_repository")
    @classmethod
    def _check_repository(cls, value: str) -> str:
        if value and _REPOSITORY.fullmatch(value) is None:
            raise ValueError("is no image repository; give host[:port]/path in lower case, no tag")
        return value

    @field_validator("image_base")
    @classmethod
    def _check_base(cls, value: str) -> str:
        if value and not is_image_reference(value):
            raise ValueError("is no image reference; give host[:port]/path:tag or ...@sha256:...")
        return value

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
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = f"{ENV_PREFIX}{'_'.join(str(part) for part in first['loc'])}".upper()
        rule = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{name} {rule}") from None


def kafka_servers_from(text: str) -> str:
    """Check a list of brokers, `host:port` with commas between, and return it."""
    for server in text.split(","):
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise ValueError(
                "has an entry that is not host:port (no user, no password); "
                "give e.g. kafka-0:9092,kafka-1:9092"
            )
    return text


def store_prefix_from(text: str) -> str:
    """Check the address of a store, `s3a://bucket[/path]` or `hdfs://host[:port]/path`."""
    if "@" in text:
        raise ValueError("must not hold a user or password; put keys into the Kubernetes Secret")
    scheme, found, rest = text.partition("://")
    if not found or scheme not in STORE_SCHEMES:
        raise ValueError("must begin with s3a:// or hdfs://, which all pods reach alike")
    bucket, slash, path = rest.partition("/")
    clean = _BUCKET.fullmatch(bucket) and _PATH.fullmatch(slash + path)
    if not clean or ".." in path.split("/"):
        raise ValueError("must be scheme://bucket[/path] of letters, digits and . _ = -, no '..'")
    return text.rstrip("/")


def is_image_reference(text: str) -> bool:
    """Tell whether `text` is `repository:tag`, `repository@digest` or both at once."""
    rest, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) is None:
        return False
    head, slash, tail = rest.rpartition("/")
    name, colon, tag = tail.partition(":")
    if colon and _TAG.fullmatch(tag) is None:
        return False
    return bool(at or colon) and _REPOSITORY.fullmatch(f"{head}{slash}{name}") is not None


def is_image_tag(text: str) -> bool:
    """Tell whether `text` can be an image's tag."""
    return _TAG.fullmatch(text) is not None


def _endpoint_from(text: str) -> str:
    match = _HTTP.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 80) < 65536:
        raise ValueError("must be http://host[:port] or https://host[:port], without user")
    if (match["rest"] or "/") != "/":
        raise ValueError("must be an address without path; the bucket belongs to the prefix")
    return text.rstrip("/")

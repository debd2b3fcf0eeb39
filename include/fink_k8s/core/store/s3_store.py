"""A store in a bucket of S3, or of a server that speaks S3."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from fink_k8s.core.base.fields import OrEmpty
from fink_k8s.core.base.versions import version_of
from fink_k8s.core.store.store_kind import KeySettings, StoreKind

_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_HTTP = re.compile(rf"https?://{_HOST}(:(?P<port>[0-9]{{1,5}}))?(?P<rest>[/?# ].*)?")


def _endpoint_from(text: str) -> str:
    match = _HTTP.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 80) < 65536:
        raise ValueError("must be http://host[:port] or https://host[:port], without a user")
    if (match["rest"] or "/") != "/":
        raise ValueError(
            "must be an address without a path; the bucket belongs in FINK_STORE_PREFIX"
        )
    return text.rstrip("/")


S3Endpoint = Annotated[str, AfterValidator(_endpoint_from)]


class S3Settings(KeySettings):
    """Where the S3 server is."""

    store_endpoint: OrEmpty[S3Endpoint] = Field(
        "",
        description="Address of the S3 server. Leave empty for AWS.",
        examples=["http://s3:7070"],
    )
    store_region: str = Field("us-east-1", description="Region of the S3 server.")


class S3Store(StoreKind):
    """The bucket `host`, to which pods bring the keys of a Secret."""

    scheme = "s3a"
    form = "s3a://bucket[/path]"
    remedy = "check FINK_STORE_ENDPOINT and the connection fink_store"
    key_variables: ClassVar = {
        "AWS_ACCESS_KEY_ID": "access-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
    }
    has_owners = False

    settings: S3Settings

    @classmethod
    def check_host(cls, host: str) -> None:
        """Check that `host` is a bucket: the server is a setting of its own."""
        if ":" in host:
            raise ValueError(
                "must name a bucket, without a port; set the server in FINK_STORE_ENDPOINT"
            )

    def spark_properties(self, spark_version: str) -> dict[str, str]:
        """Return the properties of Hadoop's S3A, which comes with that Spark."""
        endpoint = self.settings.store_endpoint
        conf = {
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(
                not endpoint.startswith("http:")
            ).lower(),
            # Bulk deletes of directory markers hang for minutes on some S3 servers.
            "spark.hadoop.fs.s3a.directory.marker.retention": "keep",
            # Version 2 of the AWS SDK, from Hadoop 3.4 on, signs for a wrong region without it.
            "spark.hadoop.fs.s3a.endpoint.region": self.settings.store_region,
            "spark.hadoop.fs.s3a.aws.credentials.provider": (
                "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"
            ),
        }
        if endpoint:
            conf["spark.hadoop.fs.s3a.endpoint"] = endpoint
        if version_of(spark_version).release[:2] == (3, 1):
            # Hadoop 3.2 cannot keep the markers: it deletes them one by one, which does not hang.
            conf["spark.hadoop.fs.s3a.multiobjectdelete.enable"] = "false"
        return conf

    @property
    def root(self) -> str:
        """Return bucket and path: the client sees all buckets of the server."""
        return f"{self.host}{self.path}"

    @property
    def top(self) -> str:
        """Return the bucket."""
        return self.host

    @property
    def server(self) -> str:
        """Return the endpoint; empty for that of AWS."""
        return self.settings.store_endpoint

    @property
    def missing_top(self) -> str:
        """Return that the bucket does not exist."""
        return f"bucket {self.host}; create it"

"""Where a night's data go: the address of a store, and the pods' way to it.

Three kinds serve: an S3 bucket, a persistent volume claim, HDFS. Whatever the kind, raw alerts,
checkpoint and quarantine lie side by side below one prefix, and every pod reaches it alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from fink_k8s.core.base.names import kubernetes_name

CLAIM_MOUNT = "/var/lib/fink"
"""Where driver and executors see the claim of a store `pvc://`."""

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:(?P<port>[0-9]{1,5}))?")
_PATH = re.compile(r"(/[A-Za-z0-9._=-]+)*/?")


class Scheme(StrEnum):
    """The kinds of store; the value is what an address begins with."""

    S3A = "s3a"
    HDFS = "hdfs"
    PVC = "pvc"


class AccessMode(StrEnum):
    """How many nodes may use a claim at once.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
    """

    READ_WRITE_MANY = "ReadWriteMany"
    READ_WRITE_ONCE = "ReadWriteOnce"


@dataclass(frozen=True)
class StoreAddress:
    """The parts of `scheme://host/path`; `host` is a bucket, a name node or a claim."""

    scheme: Scheme
    host: str
    path: str = ""

    def __str__(self) -> str:
        """Return the address as one writes it in FINK_STORE_PREFIX."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def url(self) -> str:
        """Return what the job is given: a claim is a folder to it, any other store its address."""
        return f"file://{CLAIM_MOUNT}{self.path}" if self.claim else str(self)

    @property
    def claim(self) -> str:
        """Return the persistent volume claim's name; empty for a store of another kind."""
        return self.host if self.scheme is Scheme.PVC else ""

    @property
    def is_s3(self) -> bool:
        """Tell whether the store speaks S3, and pods need its keys."""
        return self.scheme is Scheme.S3A


def store_address_from(text: str) -> StoreAddress:
    """Check the address of a store and return its parts.

    It is `s3a://bucket[/path]`, `hdfs://namenode[:port]/path` or `pvc://claim[/path]`, where the
    claim is one of the streams' namespace.
    """
    if "@" in text:
        raise ValueError("must not hold a user or password; put keys into the Kubernetes Secret")
    scheme, found, rest = text.partition("://")
    if not found or scheme not in set(Scheme):
        raise ValueError(
            "must begin with s3a://, hdfs:// or pvc://, which all pods reach alike; a folder of "
            "one machine is none"
        )
    host, slash, path = rest.partition("/")
    match = _HOST.fullmatch(host)
    if match is None or _PATH.fullmatch(slash + path) is None or ".." in path.split("/"):
        raise ValueError(
            "must be s3a://bucket[/path], hdfs://namenode[:port]/path or pvc://claim[/path], of "
            "letters, digits and . _ = -, no '..'"
        )
    address = StoreAddress(Scheme(scheme), host, (slash + path).rstrip("/"))
    _check_host(address, match["port"])
    return address


def _check_host(address: StoreAddress, port: str | None) -> None:
    if address.claim:
        kubernetes_name(address.claim, field="claim")
    elif address.scheme is Scheme.HDFS and port and not 0 < int(port) < 65536:
        raise ValueError("must have a port from 1 to 65535, e.g. hdfs://namenode:8020/fink")
    elif address.is_s3 and port:
        raise ValueError("must name a bucket, without port; the server is FINK_STORE_ENDPOINT")


def prefix_below(prefix: str, part: str) -> str:
    """Return the address of `part`: a whole address itself, or a folder below `prefix`.

    Raises:
        ValueError: it is neither.
    """
    if not part or "://" in part:
        return str(store_address_from(part or prefix))
    if part.startswith("/"):
        raise ValueError("begins with a slash; name a folder below FINK_STORE_PREFIX, e.g. lsst")
    return str(store_address_from(f"{prefix.rstrip('/')}/{part}"))


def mount_from(text: str) -> str:
    """Check the absolute path of a folder and return it without its last slash."""
    if not text.startswith("/") or _PATH.fullmatch(text) is None or ".." in text.split("/"):
        raise ValueError(
            "must be an absolute path of letters, digits and . _ = -, no '..', e.g. /mnt/fink"
        )
    return text.rstrip("/") or "/"

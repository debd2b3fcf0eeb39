"""A store on a persistent volume claim of the streams' namespace."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from fink_k8s.core.base.fields import OrEmpty
from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.base.names import kubernetes_name
from fink_k8s.core.store.store_kind import KeySettings, StoreKind

CLAIM_MOUNT = "/var/lib/fink"
"""Where driver and executors see the claim."""

_VOLUME = "store"
_MOUNT = re.compile(r"(/[A-Za-z0-9._=-]+)*/?")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def mount_from(text: str) -> str:
    """Check the absolute path of a folder and return it without its last slash."""
    if not text.startswith("/") or _MOUNT.fullmatch(text) is None or ".." in text.split("/"):
        raise ValueError(
            "must be an absolute path with letters, digits and . _ = - only, and no '..', "
            "e.g. /mnt/fink"
        )
    return text.rstrip("/") or "/"


def _storage_class_from(text: str) -> str:
    if _SUBDOMAIN.fullmatch(text) is None:
        raise ValueError("is not a valid name of a storage class; see kubectl get storageclass")
    return text


MountPath = Annotated[str, AfterValidator(mount_from)]
StorageClassName = Annotated[str, AfterValidator(_storage_class_from)]


class AccessMode(StrEnum):
    """How many nodes may use a claim at once.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes
    """

    READ_WRITE_MANY = "ReadWriteMany"
    READ_WRITE_ONCE = "ReadWriteOnce"


class ClaimSettings(KeySettings):
    """Where Airflow sees the claim, and how one is made."""

    store_mount: OrEmpty[MountPath] = Field(
        "",
        description="Where the Airflow workers mount the claim of a store `pvc://`. Leave empty "
        "if they do not mount it: counts then come from the driver's log.",
        examples=["/mnt/fink"],
    )
    claim_class: OrEmpty[StorageClassName] = Field(
        "", description="Storage class for a new claim. Leave empty for the cluster's default."
    )
    claim_access_mode: AccessMode = Field(
        AccessMode.READ_WRITE_MANY,
        description="Access mode of a new claim: `ReadWriteMany`, or `ReadWriteOnce` if all "
        "pods of a stream run on one node.",
    )


class ClaimStore(StoreKind):
    """The claim `host`, which driver and executors mount at the same path."""

    scheme = "pvc"
    form = "pvc://claim[/path]"
    remedy = "set FINK_STORE_MOUNT to the folder where the workers mount the claim"

    settings: ClaimSettings

    @classmethod
    def check_host(cls, host: str) -> None:
        """Check that `host` can be the name of a claim."""
        kubernetes_name(host, field="claim")

    @property
    def url(self) -> str:
        """Return the folder that the claim is to the job."""
        return f"file://{CLAIM_MOUNT}{self.path}"

    @property
    def claim(self) -> str:
        """Return the claim's name."""
        return self.host

    @property
    def volumes(self) -> list[Manifest]:
        """Return the claim as a volume."""
        return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": self.claim}}]

    @property
    def mounts(self) -> dict[str, str]:
        """Return where pods see the claim."""
        return {_VOLUME: CLAIM_MOUNT}

    @property
    def root(self) -> str:
        """Return the store's folder as the Airflow workers see it."""
        return f"{self.server.rstrip('/')}{self.path}"

    @property
    def top(self) -> str:
        """Return the folder that the workers see the claim at."""
        return self.server

    @property
    def server(self) -> str:
        """Return the folder that the workers see the claim at; empty where they do not."""
        return self.settings.store_mount


def claim_spec(settings: ClaimSettings, size: str) -> Manifest:
    """Return the `spec` of a claim that is made; `size` is a quantity, e.g. `100Gi`.

    The cluster's default storage class is asked for by naming none.
    """
    spec: Manifest = {
        "accessModes": [settings.claim_access_mode.value],
        "resources": {"requests": {"storage": size}},
    }
    if settings.claim_class:
        spec["storageClassName"] = settings.claim_class
    return spec

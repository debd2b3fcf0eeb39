"""What every kind of store has in common: an address, and the way of pods and Airflow to it.

Raw alerts, checkpoint and quarantine lie side by side below one prefix, and every pod of a stream
reaches it alike. `stores.py` lists the kinds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, Field

from fink_k8s.core.base.kubernetes import Manifest
from fink_k8s.core.base.names import KubernetesName


class KeySettings(BaseModel):
    """The settings that a store of any kind may use."""

    store_secret: KubernetesName = Field(
        "fink-store", description="Kubernetes Secret with the keys `access-key` and `secret-key`."
    )


@dataclass(frozen=True)
class StoreKind(ABC):
    """A store at `scheme://host/path`.

    A kind is a subclass. It declares the settings that it reads as the type of `settings`, and
    overrides what differs from a store that pods and Airflow reach by its address alone.
    """

    scheme: ClassVar[str]
    """What an address of this kind begins with."""
    form: ClassVar[str]
    """How an address of this kind is written, e.g. `s3a://bucket[/path]`."""
    remedy: ClassVar[str]
    """What to do where Airflow cannot read the store."""
    key_variables: ClassVar[Mapping[str, str]] = {}
    """Pods' environment variables, and the keys of the Secret `store_secret` that fill them."""
    has_owners: ClassVar[bool] = True
    """Whether a folder belongs to the user who made it, so that no other may write below it."""

    host: str
    path: str
    """Empty, or `/` and names; no `/` at its end."""
    settings: KeySettings = field(repr=False, compare=False)

    def __str__(self) -> str:
        """Return the address as one writes it in FINK_STORE_PREFIX."""
        return f"{self.scheme}://{self.host}{self.path}"

    @classmethod
    @abstractmethod
    def check_host(cls, host: str) -> None:
        """Check what stands between `://` and the path: a name, perhaps with `:` and a port.

        Raises:
            ValueError: it breaks the kind's own rule; the message says which.
        """

    # What a stream needs

    @property
    def url(self) -> str:
        """Return the address that the job is given."""
        return str(self)

    @property
    def claim(self) -> str:
        """Return the name of the persistent volume claim that pods mount; empty for none."""
        return ""

    def spark_properties(self, spark_version: str) -> dict[str, str]:
        """Return the properties by which a Spark of this version reaches the store."""
        return {}

    @property
    def environment(self) -> list[Manifest]:
        """Return the variables of driver and executors, as a container's `env`."""
        secret = self.settings.store_secret
        return [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for variable, key in self.key_variables.items()
        ]

    @property
    def volumes(self) -> list[Manifest]:
        """Return the volumes of driver and executors."""
        return []

    @property
    def mounts(self) -> dict[str, str]:
        """Return where `volumes` are mounted: paths by volume names."""
        return {}

    # How Airflow reads it, with the client that `adapters/store/file_systems.py` has for the kind

    @property
    def has_keys(self) -> bool:
        """Tell whether pods and Airflow log in with a pair of keys."""
        return bool(self.key_variables)

    @property
    def root(self) -> str:
        """Return the store's folder in the client's file system."""
        return self.path or "/"

    @property
    def top(self) -> str:
        """Return what has to be in the client's file system before a stream stores anything."""
        return "/"

    @property
    def server(self) -> str:
        """Return where the client looks, for messages; empty where the address says it."""
        return ""

    @property
    def missing_top(self) -> str:
        """Return what is not there where `top` is missing, and the remedy."""
        return f"folder {self.top}; {self.remedy}"

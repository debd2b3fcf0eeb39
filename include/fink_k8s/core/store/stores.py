"""The kinds of store, and the settings that choose one."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from fink_k8s.core.base.fields import OrEmpty
from fink_k8s.core.store.claim_store import ClaimSettings, ClaimStore
from fink_k8s.core.store.hdfs_store import HdfsStore
from fink_k8s.core.store.s3_store import S3Settings, S3Store
from fink_k8s.core.store.store_kind import StoreKind

STORE_KINDS: dict[str, type[StoreKind]] = {
    kind.scheme: kind for kind in (S3Store, HdfsStore, ClaimStore)
}
"""The kinds of store by the schemes of their addresses."""

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?")
_PATH = re.compile(r"(/[A-Za-z0-9._=-]+)*/?")


def _choice_of(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]])


def _forms(quote: str = "") -> str:
    return _choice_of([f"{quote}{kind.form}{quote}" for kind in STORE_KINDS.values()])


def store_address_from(text: str) -> str:
    """Check the address of a store and return it without its last slash.

    Raises:
        ValueError: it breaks a rule; the message says which.
    """
    kind, host, path = _parts_of(text)
    return f"{kind.scheme}://{host}{path}"


def _parts_of(text: str) -> tuple[type[StoreKind], str, str]:
    if "@" in text:
        raise ValueError("must not contain a user or password; put keys into the Kubernetes Secret")
    scheme, found, rest = text.partition("://")
    if not found or scheme not in STORE_KINDS:
        schemes = _choice_of([f"{known}://" for known in STORE_KINDS])
        raise ValueError(
            f"must begin with {schemes}: all pods must reach the store, and they cannot reach a "
            "folder on one machine"
        )
    host, slash, path = rest.partition("/")
    is_well_formed = _HOST.fullmatch(host) and _PATH.fullmatch(slash + path)
    if not is_well_formed or {".", ".."} & {*path.split("/")}:
        raise ValueError(
            f"must be {_forms()}, with letters, digits and . _ = - only, and no '..' or '.' as a "
            "folder"
        )
    kind = STORE_KINDS[scheme]
    kind.check_host(host)
    return kind, host, (slash + path).rstrip("/")


StoreAddress = Annotated[str, AfterValidator(store_address_from)]


class StoreSettings(S3Settings, ClaimSettings):
    """Which store an installation uses; each kind has its own settings beside it."""

    store_prefix: OrEmpty[StoreAddress] = Field(
        "",
        description=f"Where raw alerts and checkpoints are stored: {_forms(quote='`')}. For "
        "what each of them needs, see docs/stores.md.",
        examples=["s3a://fink"],
    )


def store_of(settings: StoreSettings) -> StoreKind:
    """Return the store that `store_prefix` names.

    Raises:
        ValueError: it breaks a rule; the message says which.
    """
    kind, host, path = _parts_of(settings.store_prefix)
    return kind(host, path, settings)


def prefix_below(prefix: str, part: str) -> str:
    """Return the address of `part`: a whole address itself, or a folder below `prefix`.

    Raises:
        ValueError: it is neither.
    """
    if not part or "://" in part:
        return store_address_from(part or prefix)
    if part.startswith("/"):
        raise ValueError("begins with a slash; use a folder below FINK_STORE_PREFIX, e.g. lsst")
    return store_address_from(f"{prefix.rstrip('/')}/{part}")

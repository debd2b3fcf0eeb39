"""Keep secrets out of what is shown and stored: known values, and what looks like one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "***"
# Shorter values would hide words that are none.
_SHORTEST = 6
_NAME = re.compile(
    r"(secret|password|passwd|token|jaas|credential|access[._-]?key|private[._-]?key|api[._-]?key)",
    re.IGNORECASE,
)
# Names that end so speak of a secret and do not hold it.
_REFERENCE = re.compile(r"(provider|name|ref|path|file|enabled|mount|keyref)s?$", re.IGNORECASE)
# Every repetition is bounded, or begins at a fixed word: a log may hold a line of 64 kB.
_IN_TEXT = (
    # sasl.jaas.config = ... password="x"; whatever follows up to the end of its line
    (re.compile(r"(jaas[\w.]{0,40}['\"]?\s{0,9}[=:]\s{0,9}).+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # any assignment to a name that speaks of a secret: KEY=x, "key": "x", key: x
    (
        re.compile(
            r"((?:secret|password|passwd|token|credential|access[._-]?key|api[._-]?key)"
            r"[\w.-]{0,40}['\"]?\s{0,9}[=:]\s{0,9})(\"[^\"]*\"|'[^']*'|[^\s,;'\"}&]+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(://)[^/\s:@]{1,99}:[^/\s@]{1,199}@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(Bearer|Basic)\s{1,9}[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-.*?(-----END [A-Z ]{0,30}-|\Z)", re.DOTALL),
        HIDDEN,
    ),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without the values `secrets` and without what its own words call a secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def redacted(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Return an object as the API server gives it, without secrets.

    A value under a name that speaks of a secret is hidden, as is the value of such a variable of a
    container; references to Secrets stay. The server's own book-keeping is left out.
    """
    secrets = tuple(secrets)
    if isinstance(value, Mapping):
        if _NAME.search(str(value.get("name", ""))) and isinstance(value.get("value"), str):
            value = {**value, "value": HIDDEN}
        return {
            key: HIDDEN if _holds_secret(key, item) else redacted(item, secrets)
            for key, item in value.items()
            if key not in {"managedFields", "kubectl.kubernetes.io/last-applied-configuration"}
        }
    if isinstance(value, list | tuple):
        return [redacted(item, secrets) for item in value]
    return redact(value, secrets) if isinstance(value, str) else value


def _holds_secret(key: str, value: object) -> bool:
    return isinstance(value, str) and bool(_NAME.search(key)) and not _REFERENCE.search(key)

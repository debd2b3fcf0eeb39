"""Alerts of ZTF's schema 3.3 as Avro container files, each valid and unique, from a seed.

Encoding 70 kB of fields for each alert would cost more than sending it. So a few templates are
encoded once, with placeholders of fixed length; an alert is a template with its placeholders
replaced. The same seed gives the same bytes.
"""

import io
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "include/stream2raw/schemas/ztf_3p3.avsc"
TEMPLATES = 16
SYNC = bytes(range(16))
CORRUPTIONS = ("flipped", "truncated", "empty", "tombstone")

_CANDID = 1_777_777_777_777_777_777
_JD = 2_461_234.567_890_123
_OBJECT = "ZTF99zzzzzzz"


def alerts(seed: int, count: int, first_jd: float = 2_461_041.5) -> Iterator[bytes]:
    """Yield `count` alerts; every candid differs, also between seeds below a million."""
    templates = [_template(seed, number) for number in range(TEMPLATES)]
    base = (1_000_000 + seed % 1_000_000) * 1_000_000_000_000
    for number in range(count):
        alert = templates[number % TEMPLATES]
        alert = alert.replace(_varint(_CANDID), _varint(base + number))
        alert = alert.replace(
            struct.pack("<d", _JD), struct.pack("<d", first_jd + number / 864_000)
        )
        yield alert.replace(_OBJECT.encode(), f"ZTF26{_letters(number)}".encode())


def corrupted(alert: bytes, kind: str) -> bytes | None:
    """Return an alert as it arrives after damage in transit.

    Raises:
        ValueError: `kind` is none of CORRUPTIONS.
    """
    match kind:
        case "flipped":
            # In the closing sync marker: damage that decoding alone would not detect.
            return alert[:-8] + bytes([alert[-8] ^ 0xFF]) + alert[-7:]
        case "truncated":
            return alert[: len(alert) // 2]
        case "empty":
            return b""
        case "tombstone":
            return None
        case _:
            raise ValueError(
                f"{kind!r} is not a kind of corruption; use one of {', '.join(CORRUPTIONS)}"
            )


def _template(seed: int, number: int) -> bytes:
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
    schema = json.loads(SCHEMA_FILE.read_text())
    record = _value(schema, rng, {}, "")
    record.update(objectId=_OBJECT, candid=_CANDID, schemavsn="3.3", publisher="ZTF (testbed)")
    record["candidate"].update(jd=_JD, candid=_CANDID)
    datum = io.BytesIO()
    fastavro.schemaless_writer(datum, fastavro.parse_schema(schema), record)
    body = datum.getvalue()
    return _header(schema) + _varint(1) + _varint(len(body)) + body + SYNC


def _header(schema: dict[str, Any]) -> bytes:
    metadata = {"avro.codec": b"null", "avro.schema": json.dumps(schema).encode()}
    out = b"Obj\x01" + _varint(len(metadata))
    for key, value in metadata.items():
        out += _varint(len(key)) + key.encode() + _varint(len(value)) + value
    return out + _varint(0) + SYNC


def _value(schema: Any, rng: random.Random, names: dict[str, Any], name: str) -> Any:
    """Return a value of an Avro schema; images are random bytes, which do not compress."""
    if isinstance(schema, list):
        return _value(next(s for s in schema if s != "null"), rng, names, name)
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    kind = schema["type"] if isinstance(schema, dict) else schema
    match kind:
        case "record":
            names[schema["name"]] = names[f"{schema.get('namespace', '')}.{schema['name']}"] = (
                schema
            )
            return {f["name"]: _value(f["type"], rng, names, f["name"]) for f in schema["fields"]}
        case "array":
            return [_value(schema["items"], rng, names, name) for _ in range(rng.randint(10, 30))]
        case "bytes":
            return rng.randbytes(rng.randint(8_400, 10_800))
        case "string":
            return f"{name[:8]}{rng.randint(0, 99)}"
        case "int" | "long":
            return rng.randint(0, 1_000_000)
        case "float" | "double":
            return rng.uniform(-1.0, 25.0)
        case "boolean":
            return rng.random() < 0.5
        case _:
            return _value(kind, rng, names, name)


def _varint(number: int) -> bytes:
    """Return Avro's long: zig-zag, seven bits a byte, the lowest first."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _letters(number: int) -> str:
    letters = []
    for _ in range(7):
        number, digit = divmod(number, 26)
        letters.append(chr(ord("a") + digit))
    return "".join(reversed(letters))

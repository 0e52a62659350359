"""The fields that every message carries, and the types its fields are made of: see `feed.messages`."""

from __future__ import annotations

import functools
import hashlib
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Stamp = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Count = Annotated[int, Meta(ge=0)]
PublishedSeconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]

# Any constant will do, as long as it stays: the ids of records are made from it.
_NAMESPACE = uuid.UUID("6ad1b1b6-2f0f-5c2c-9a35-0a6e0a2c7f11")
BLANK: dict[str, Any] = {"message_id": "", "boot_id": "", "seq": 0, "ts": ""}
"""An envelope that is stamped when the message goes out."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that every message carries.

    A message is built with them empty and stamped when it goes out.
    """

    message_id: str
    boot_id: str
    seq: Count
    ts: Stamp
    site: str


def identity(kind: str, *parts: object) -> str:
    """A message's id made from its content: the same on every try."""
    # JSON keeps ("a", "b") and ("a,b",) apart.
    return uuid5(msgspec.json.encode([kind, *parts]))


def uuid5(name: bytes) -> str:
    """The text of `uuid.uuid5` for a name, without the object that it makes: several times as fast."""
    digest = bytearray(hashlib.sha1(_NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16])
    # RFC 9562: version 5, variant 10.
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def stamp(ms: float) -> str:
    """RFC 3339 UTC with milliseconds, of ms since 1970."""
    seconds, rest = divmod(round(ms), 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@functools.lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    # A busy second is needed a thousand times.
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"

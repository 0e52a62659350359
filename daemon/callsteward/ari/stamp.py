"""A frame's type and timestamp, without decoding the rest of it."""

from __future__ import annotations

import msgspec

from callsteward.exceptions import NOT_JSON


class _Stamp(msgspec.Struct):
    type: str = ""
    timestamp: str = ""


_stamps = msgspec.json.Decoder(_Stamp)


def stamp(raw: bytes | str) -> tuple[str, str]:
    """Type and timestamp of a frame, empty if it has none or is no frame at all."""
    try:
        found = _stamps.decode(raw)
    except NOT_JSON:
        return "", ""
    return found.type, found.timestamp

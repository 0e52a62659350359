"""Packing of frames that wait for long: ARI's JSON repeats itself and shrinks to about a tenth."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

# About 200 KB together, 2 ms of the reader's time.
PACK_FRAMES = 256
# The fastest: the reader waits for it.
_LEVEL = 1


class Frame(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One event exactly as it came, and when: `received_s` is time.monotonic().

    `position`: up to where its connection was read with it (`ring`), 0 if nobody needs to know.
    """

    raw: bytes
    received_s: float
    position: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Frame])


@dataclass(frozen=True, slots=True)
class Packed:
    """Frames in order of arrival, in little memory."""

    count: int
    blob: bytes


def pack(frames: Sequence[Frame]) -> Packed:
    return Packed(len(frames), zlib.compress(_encoder.encode(frames), _LEVEL))


def unpack(packed: Packed) -> list[Frame]:
    return _decoder.decode(zlib.decompress(packed.blob))

"""Records as the database keeps them: compressed against typical records, and given back byte for byte.

A record is two kilobytes of which most is the same in each: against a dictionary of typical records an eighth
is left. The first byte names the dictionary. A dictionary is never changed: another one gets the next number,
and all of them are shipped for ever.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import resources
from typing import Final

from callsteward.exceptions import StoreError

_NEWEST: Final = 1
# Raw deflate: zlib's header, with the dictionary's checksum, would be six bytes in each record. Level 3 is
# 10 µs quicker than 6 and costs 30 bytes; a window of 8 KiB holds dictionary and record.
_LEVEL, _WINDOW, _MEMORY = 3, -13, 6


@cache
def _dictionary(number: int) -> bytes:
    name = f"records-{number}.jsonl"
    return (resources.files("callsteward.store") / "dictionaries" / name).read_bytes()


@cache
def _ready() -> zlib._Compress:
    """A compressor that has read the dictionary: a copy of it is made for each record."""
    return zlib.compressobj(
        _LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _dictionary(_NEWEST)
    )


def pack(line: bytes) -> bytes:
    """A record's line of JSON, compressed."""
    compressor = _ready().copy()
    return bytes((_NEWEST,)) + compressor.compress(line) + compressor.flush()


def unpacked(packed: bytes) -> bytes:
    """The line. Raises StoreError for what is no packed record, or is of a newer callsteward's dictionary."""
    if not packed or not 1 <= packed[0] <= _NEWEST:
        number = packed[0] if packed else "none"
        message = f"a record compressed with dictionary {number}; this callsteward knows up to {_NEWEST}"
        raise StoreError(message)
    decompressor = zlib.decompressobj(_WINDOW, _dictionary(packed[0]))
    try:
        line = decompressor.decompress(packed[1:])
    except zlib.error as error:
        message = f"a compressed record that is damaged: {error}"
        raise StoreError(message) from error
    if not decompressor.eof or decompressor.unused_data:
        message = "a compressed record that is cut off or has more behind it"
        raise StoreError(message)
    return line

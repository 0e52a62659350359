"""Stored records, and rows that hold none: each is named once, counted, and skipped.

A row can be damaged (a disk's fault, a manual change) or be a newer version's. It must keep neither the
daemon from starting, nor a report from all other calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import structlog

from callsteward.exceptions import NOT_JSON, StoreError
from callsteward.record.call import CallRecord
from callsteward.store.packed import unpacked
from callsteward.store.tables import calls

log = structlog.get_logger(__name__)

RECORD: Final = (calls.c.record, calls.c.packed)
"""The columns that a query selects for `record_in`: a record is in one of them, plain or packed."""

PLAIN: Final = calls.c.packed.is_(None)
"""True for a row whose record is plain; its line is in `PLAIN_LINE`."""
PLAIN_LINE: Final = calls.c.record

_decoder = msgspec.json.Decoder(CallRecord)

_NAMED: Final = 1000


def decode(line: str | bytes) -> CallRecord:
    """The record in its line of JSON, or packed; `encode` gives that line back. Raises StoreError."""
    try:
        return _decoder.decode(line_of(line))
    except NOT_JSON as error:
        message = f"not a call record of schema callsteward.call/1: {error}"
        raise StoreError(message) from error


def line_of(stored: str | bytes) -> str | bytes:
    """A record's line as it was published, from one or the other column of its row. Raises StoreError."""
    # A line begins with a brace, a packed one with the number of its dictionary.
    return stored if isinstance(stored, str) or stored.startswith(b"{") else unpacked(stored)


def packed_values(packed: Any) -> dict[str, Any]:
    """The columns of a row that holds a packed record."""
    return {"record": "", "packed": packed}


def record_in(row: Any) -> str | bytes:
    """The record in a row with the columns `RECORD`, as it is stored."""
    plain: str = row.record
    packed: bytes | None = row.packed
    return plain if packed is None else packed


class Unreadable:
    """The rows that this process could not read: `count` of them, `calls` the first thousand."""

    def __init__(self) -> None:
        self.count = 0
        self.calls: dict[str, str] = {}

    def note(self, call_id: str, error: StoreError) -> None:
        """Note that a call's stored record cannot be read."""
        if call_id in self.calls:
            return
        self.count += 1
        if len(self.calls) < _NAMED:
            self.calls[call_id] = str(error)
        if structlog.is_configured():
            log.warning(
                "a stored record cannot be read and is left out",
                action="record_unreadable",
                call_id=call_id,
                error=str(error),
            )


UNREADABLE: Final = Unreadable()
"""For this process: its log, metrics and the end of a command mention them."""


def readable(call_id: str, stored: str | bytes, having: bytes = b"") -> CallRecord | None:
    """The record in a call's row; None if it cannot be read, which is noted.

    Also None for a record whose line does not have `having` in it: that one is not decoded.
    """
    try:
        line = line_of(stored)
        if having and having not in (line.encode() if isinstance(line, str) else line):
            return None
        return decode(line)
    except StoreError as error:
        UNREADABLE.note(call_id, error)
        return None


def all_readable(rows: Iterable[tuple[str, str | bytes]], having: bytes = b"") -> Iterator[CallRecord]:
    """The records of (call_id, record) rows, without those for which `readable` has none."""
    for call_id, stored in rows:
        record = readable(call_id, stored, having)
        if record is not None:
            yield record

"""Stored records, and rows that hold none: each is named once, counted, and skipped.

A row can be damaged (a disk's fault, a manual change) or be a newer version's. It must keep neither the
daemon from starting, nor a report from all other calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import structlog

from callsteward.exceptions import NOT_JSON, StoreError
from callsteward.record.call import CallRecord

log = structlog.get_logger(__name__)

_decoder = msgspec.json.Decoder(CallRecord)

_NAMED: Final = 1000


def decode(line: str | bytes) -> CallRecord:
    """The record in its line of JSON; `encode` gives the same bytes back. Raises StoreError."""
    try:
        return _decoder.decode(line)
    except NOT_JSON as error:
        message = f"not a call record of schema callsteward.call/1: {error}"
        raise StoreError(message) from error


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


def readable(call_id: str, line: str | bytes) -> CallRecord | None:
    """The record in a call's row; None if it cannot be read, which is noted."""
    try:
        return decode(line)
    except StoreError as error:
        UNREADABLE.note(call_id, error)
        return None


def all_readable(rows: Iterable[tuple[str, str | bytes]]) -> Iterator[CallRecord]:
    """The records of (call_id, record) rows, except those that cannot be read: these are noted."""
    for call_id, line in rows:
        record = readable(call_id, line)
        if record is not None:
            yield record

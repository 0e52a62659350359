"""A row of a ledger as a value, which needs no database."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a ledger. `number` is E.164; only the dialplan gets it.

    `attempts`: how many there were; `channel_id`: the first channel of the last one.
    """

    id: str
    site: str
    line: str
    operator: str | None
    number: str | None
    client_masked: str | None
    client_ref: str | None
    state: StrEnum
    reason: str
    created_at_ms: int
    changed_at_ms: int
    attempts: int = 0
    channel_id: str | None = None
    fence_gone_at_ms: int | None = None

"""The callbacks that a decision needs to know: in the daemon from the ledger, in a replay from memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from callsteward.callback.states import CallbackRow, CallbackState
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, CallRecord


class Book(Protocol):
    """The callbacks; see `ledger.Ledger`."""

    async def decided(self, call_id: str) -> CallbackDecision | None: ...

    async def open(
        self,
        record: CallRecord,
        decision: CallbackDecision,
        *,
        number: str | None,
        dropped_ms: int,
        at_ms: int,
    ) -> CallbackRow | None: ...

    async def move(
        self,
        callback: CallbackRow,
        to: CallbackState,
        *,
        actor: Actor,
        at_ms: int,
        reason: str = "",
        evidence: str = "",
        among: Collection[CallbackState] | None = None,
    ) -> CallbackRow | None: ...

    async def opened(self) -> list[CallbackRow]: ...

    async def counts(self, number: str, line: str, at_ms: int) -> tuple[int, int]: ...

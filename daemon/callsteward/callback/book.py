"""The callbacks as a decision asks for them: the daemon has a ledger, a replay what its stream tells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from callsteward.callback.states import Callback, State
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
    ) -> Callback | None: ...

    async def move(
        self,
        callback: Callback,
        to: State,
        *,
        actor: Actor,
        at_ms: int,
        reason: str = "",
        evidence: str = "",
        among: Collection[State] | None = None,
    ) -> Callback | None: ...

    async def opened(self) -> list[Callback]: ...

    async def counts(self, number: str, line: str, at_ms: int) -> tuple[int, int]: ...

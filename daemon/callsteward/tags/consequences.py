"""The consequences of a tag or command: do-not-call list, a callback decided late, a callback cancelled.

Everything here may be done twice and is then done once: the ledger has one row per call, the list one per
number. `lock` keeps it apart from the calls that end meanwhile, so that a client who calls again is
never met between two steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from callsteward.callback.decisions import CallbackDecisions
from callsteward.callback.ledger import CallbackLedger
from callsteward.callback.policy import Reason
from callsteward.callback.states import CANCELLABLE, CallbackMoved, CallbackRow, CallbackState
from callsteward.outgoing.forbidding import Forbidding
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.facts import CallEnded
from callsteward.tags.book import TagBook

OFF = "callbacks_off"


class Consequences:
    """Without `decisions` callbacks are off, and none is made. `lock` is held while facts are judged."""

    def __init__(
        self,
        *,
        guard: Guard,
        forbidding: Forbidding,
        book: TagBook,
        ledger: CallbackLedger,
        decisions: CallbackDecisions | None,
        now_ms: Callable[[], int],
        publish: Callable[[CallbackMoved], None],
        lock: asyncio.Lock,
    ) -> None:
        self.guard = guard
        self.book = book
        self.lock = lock
        self._forbidding = forbidding
        self._ledger = ledger
        self._decisions = decisions
        self._now_ms = now_ms
        self._publish = publish

    async def forbid(self, number: str, *, by: str, comment: str, actor: Actor) -> bool:
        """Put an E.164 number on the do-not-call list and cancel what is open; whether it was not on it."""
        return bool((await self._forbidding.add([number], by=by, comment=comment, actor=actor)).added)

    async def permit(self, number: str) -> bool:
        """Take a number off the list; whether it was on it."""
        return await self._forbidding.remove(number)

    async def cancel(self, callback: CallbackRow, *, actor: Actor, reason: str, evidence: str) -> bool:
        """Cancel a callback whose client has not been dialled; False where it is too late for that."""
        moved = await self._ledger.move(
            callback,
            CallbackState.CANCELLED,
            actor=actor,
            at_ms=self._now_ms(),
            reason=reason,
            evidence=evidence,
            among=CANCELLABLE,
        )
        if moved is None:
            return False
        self._publish(CallbackMoved(moved, actor))
        return True

    async def find(self, name: str) -> CallbackRow | None:
        """A callback by its id or by the call that broke."""
        return await self._ledger.find(name)

    async def call_back(
        self, record: CallRecord, base: CallbackDecision, number: str, evidence: str
    ) -> tuple[CallbackDecision, bool]:
        """Decide on a callback after the record was made; with it, whether this is what decided it.

        The decision goes through the same policy and ledger as that of a call that just ended. `evidence`
        joins what the ledger's row rests on.
        """
        decided = await self._ledger.decided(record.call_id)
        if decided is not None:
            return decided, False
        if base.decision is not Decision.DUE:
            return base, True
        decisions = self._decisions
        if decisions is None:
            return CallbackDecision(Decision.NOT_DUE, OFF), True
        hangup = msgspec.structs.replace(record.hangup, evidence=(*record.hangup.evidence, evidence))
        record = msgspec.structs.replace(record, callback=base, hangup=hangup)
        e164 = self.guard.read(number)
        if e164 is not None and await self.book.spoken_since(record.call_id, e164):
            return await self._suppressed(record, e164), True
        (fact,) = await decisions.judge([CallEnded(record, number)])
        assert isinstance(fact, CallEnded)
        return fact.record.callback, True

    async def _suppressed(self, record: CallRecord, number: str) -> CallbackDecision:
        decision = CallbackDecision(Decision.SUPPRESSED, Reason.CALLED_AGAIN.value)
        now_ms = self._now_ms()
        ended = record.ended_at
        dropped_ms = now_ms if ended is None else round(datetime.fromisoformat(ended).timestamp() * 1000)
        callback = await self._ledger.open(
            record, decision, number=number, dropped_ms=dropped_ms, at_ms=now_ms
        )
        if callback is not None:
            self._publish(CallbackMoved(callback, Actor.DAEMON))
        return decision

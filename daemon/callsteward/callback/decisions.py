"""The decision as calls end: asks the policy, writes the callback down, puts the decision into the record.

Runs between the tracker and the store: a callback is in the ledger before the record that announces it is
stored or published. When a journal is run again, a call finds its row in the ledger and gets the same
decision.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from callsteward.callback.book import Book
from callsteward.callback.policy import Case, Policy, Reason
from callsteward.callback.states import CANCELLABLE, CallbackMoved, CallbackRow, CallbackState
from callsteward.outgoing.contacts import ClientContact
from callsteward.outgoing.may import May, Standing
from callsteward.outgoing.words import Actor
from callsteward.record.call import (
    SPOKEN_TO,
    CallbackDecision,
    CallRecord,
    Decision,
    Direction,
    Party,
    Side,
    ms_of,
)
from callsteward.record.callback_id import callback_of
from callsteward.record.facts import CallEnded, CallHappened, Fact, Happening

# Clients whose last call is remembered, to know who called again before their drop was noticed.
_REMEMBERED = 10_000
# An operator's own call to the client is given 120 s; until then no callback is offered.
_RINGS_MS = 120_000


async def _nowhere(_number: str, _after_ms: int) -> None:
    """For a replay, and a site alone."""


def _to_nobody(_moved: CallbackMoved) -> None:
    """For a replay, which publishes nothing."""


class CallbackDecisions:
    """Decides for each call that ends; cancels a callback when its client calls or is spoken to first."""

    def __init__(
        self,
        *,
        may: May,
        policy: Policy,
        ledger: Book,
        now_ms: Callable[[], int],
        publish: Callable[[CallbackMoved], None] = _to_nobody,
        elsewhere: Callable[[str, int], Awaitable[ClientContact | None]] = _nowhere,
    ) -> None:
        """`publish` gets each callback that was written down or cancelled, once all facts are judged.

        `elsewhere`: a client's last contact with another site after a moment.
        """
        self._publish = publish
        self._elsewhere = elsewhere
        self._may = may
        self._guard = may.guard
        self._policy = policy
        self._ledger = ledger
        self._now_ms = now_ms
        self._moves: list[CallbackMoved] = []
        self.judging = False
        """True while facts are judged: more callbacks may follow at once. When a PBX dies, many calls break
        together, and the newest is called back first."""
        # By number: when the client last called or answered, in which call, and the reason that this gives
        # against a callback.
        self._last: OrderedDict[str, tuple[int, str, Reason]] = OrderedDict()
        # By number: calls by which an operator rings the client, and since when.
        self._ringing: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._forestalling: OrderedDict[str, None] = OrderedDict()
        # By number and callback: open callbacks, which the client's own call cancels.
        self._waiting: dict[str, dict[str, CallbackRow]] = {}
        self.lost_operators: dict[str, str] = {}
        """By callback: the operator, where it was the operator's connection that broke."""

    async def load(self) -> None:
        """Take over the open callbacks of an earlier process."""
        for callback in await self._ledger.opened():
            self._wait_for(callback)

    def over(self, callback: CallbackRow) -> None:
        """The client was dialled, or the callback is final: the client's own call cannot cancel it now."""
        self.lost_operators.pop(callback.id, None)
        of_number = self._waiting.get(callback.number or "", {})
        of_number.pop(callback.id, None)
        if not of_number:
            self._waiting.pop(callback.number or "", None)

    def _wait_for(self, callback: CallbackRow) -> None:
        if callback.number is not None:
            self._waiting.setdefault(callback.number, {})[callback.id] = callback

    async def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts with each ended call's decision in its record. Raises StoreError; may be asked again."""
        judged: list[Fact] = []
        self.judging = True
        try:
            for fact in facts:
                if isinstance(fact, CallEnded):
                    judged.append(await self._ended(fact))
                    continue
                if isinstance(fact, CallHappened) and fact.client_number:
                    await self._happened(fact)
                judged.append(fact)
        finally:
            self.judging = False
            moves, self._moves = self._moves, []
            for moved in moves:
                self._publish(moved)
        return judged

    def being_called(self, callback: CallbackRow) -> bool:
        """True while an operator's own call rings the client: a callback beside it would be a second call."""
        since = self._ringing.get(callback.number or "")
        return since is not None and any(self._now_ms() - at_ms < _RINGS_MS for at_ms in since.values())

    async def _happened(self, fact: CallHappened) -> None:
        """The client called, or an operator reached them: no callback is needed any more."""
        if not fact.outbound and fact.event is not Happening.STARTED:
            return  # the start of the client's call has cancelled it already
        for number in self._numbers(fact.client_number, outbound=fact.outbound):
            await self._called(fact, number)

    def _numbers(self, client_number: str, *, outbound: bool) -> tuple[str, ...]:
        """The clients' numbers that a call may be with.

        The digits that an operator dialled can stand for several numbers: then all of them, since a client
        whom an operator has called must not be called once more.
        """
        if outbound:
            return self._guard.readings(client_number)
        number = self._guard.read(client_number)
        return () if number is None else (number,)

    async def _called(self, fact: CallHappened, number: str) -> None:
        if fact.outbound and fact.event is Happening.STARTED:
            if callback_of(fact.call_id) is None:
                self._ringing[number][fact.call_id] = fact.at_ms
            return
        reason = Reason.SPOKEN_TO if fact.outbound else Reason.CALLED_AGAIN
        self._last[number] = (fact.at_ms, fact.call_id, reason)
        self._last.move_to_end(number)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        # A journal that is run again begins with the call that broke: it must not cancel its own callback.
        await self._cancel(number, fact.call_id, reason, after_ms=fact.at_ms)

    async def _cancel(self, number: str, call_id: str, reason: Reason, *, after_ms: int) -> None:
        """Cancel the client's open callbacks of drops before `after_ms`; a callback's own call does not."""
        actor = Actor.CLIENT if reason is Reason.CALLED_AGAIN else Actor.OPERATOR
        own = callback_of(call_id)
        for callback in list(self._waiting.get(number, {}).values()):
            if callback.dropped_at_ms >= after_ms or own == callback.id:
                continue
            moved = await self._ledger.move(
                callback,
                CallbackState.CANCELLED,
                actor=actor,
                at_ms=self._now_ms(),
                reason=reason.value,
                evidence=f"call {call_id}",
                among=CANCELLABLE,
            )
            self.over(callback)
            if moved is not None:
                self._forestalled_by(call_id)
                self._moves.append(CallbackMoved(moved, actor))

    def _forestalled_by(self, call_id: str) -> None:
        self._forestalling[call_id] = None
        if len(self._forestalling) > _REMEMBERED:
            self._forestalling.popitem(last=False)

    async def _ended(self, fact: CallEnded) -> CallEnded:
        record = fact.record
        await self._talked(record, fact.client_number)
        case = await self._case(record, fact.client_number)
        decision = self._policy.decide(case)
        if record.callback.decision is Decision.DUE:
            decision = await self._ledger.decided(record.call_id) or await self._opened(
                record, case, decision
            )
        self._forestalling.pop(record.call_id, None)
        return msgspec.structs.replace(fact, record=msgspec.structs.replace(record, callback=decision))

    async def _talked(self, record: CallRecord, client_number: str) -> None:
        """An outbound call has ended: it rings the client no longer.

        If client and operator talked in it, callbacks are cancelled here too: the answer may not have been
        seen.
        """
        outbound = record.direction in {Direction.OUTBOUND, Direction.CALLBACK}
        ended_ms = ms_of(record.ended_at)
        for number in self._numbers(client_number, outbound=outbound):
            if record.direction is Direction.OUTBOUND and number in self._ringing:
                self._ringing[number].pop(record.call_id, None)
                if not self._ringing[number]:
                    del self._ringing[number]
            if outbound and record.outcome in SPOKEN_TO and ended_ms is not None:
                await self._cancel(number, record.call_id, Reason.SPOKEN_TO, after_ms=ended_ms)

    async def _case(self, record: CallRecord, client_number: str) -> Case:
        now_ms = self._now_ms()
        started_ms, ended_ms = ms_of(record.started_at), ms_of(record.ended_at)
        dropped_ms = now_ms if ended_ms is None else ended_ms
        base = record.callback
        client = Standing(None)
        if base.decision is Decision.DUE:
            client = await self._may.call(client_number, record.line, at_ms=now_ms, dropped_ms=dropped_ms)
        number = client.number
        today, hour, again = 0, 0, None
        if number is not None:
            today, hour = await self._ledger.counts(number, record.line, now_ms)
            last_ms, last_call, why = self._last.get(number, (0, record.call_id, None))
            if last_call != record.call_id and last_ms > (started_ms or 0):
                again = why
                self._forestalled_by(last_call)
            if again is None:
                met = await self._elsewhere(number, dropped_ms if started_ms is None else started_ms)
                again = None if met is None else Reason(met.reason.value)
        return Case(
            decision=base,
            line=record.line,
            client=client,
            dropped_ms=dropped_ms,
            now_ms=now_ms,
            called_again=again is Reason.CALLED_AGAIN,
            spoken_to=again is Reason.SPOKEN_TO,
            to_number_today=today,
            of_line_this_hour=hour,
            forestalled=record.call_id in self._forestalling,
        )

    async def _opened(self, record: CallRecord, case: Case, decision: CallbackDecision) -> CallbackDecision:
        callback = await self._ledger.open(
            record, decision, number=case.client.number, dropped_ms=case.dropped_ms, at_ms=case.now_ms
        )
        if callback is None:
            return await self._ledger.decided(record.call_id) or decision
        if callback.state is CallbackState.DUE and callback.number is not None:
            self._wait_for(callback)
            lost = record.hangup.first is Party.NETWORK and record.hangup.lost_side is Side.OPERATOR
            if lost and record.operator is not None:
                self.lost_operators[callback.id] = record.operator
        self._moves.append(CallbackMoved(callback, Actor.DAEMON))
        return decision

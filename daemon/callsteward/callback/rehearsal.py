"""The callback decisions in `replay`: `CallbackDecisions` with the callbacks in memory.

All that follows from the stream is as in the daemon, to the byte: number guard, hours at the moment of the
drop, clients who called again or were spoken to, limits of number and line. Not in a stream, but in the
database only: the do-not-call list, clients' imported zones, an admin's cancel, and callbacks from before the
stream.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from callsteward.ari import events as ari
from callsteward.callback import signals
from callsteward.callback.decisions import CallbackDecisions
from callsteward.callback.policy import Policy
from callsteward.callback.signals import CallbackSignal
from callsteward.callback.states import ALLOWED, FINAL, OPEN, CallbackRow, CallbackState
from callsteward.calls.tracker import Tracker
from callsteward.clock import DAY_MS, HOUR_MS
from callsteward.config import Config
from callsteward.outgoing.guard import Guard
from callsteward.outgoing.hours import Hours
from callsteward.outgoing.may import May
from callsteward.outgoing.plan import sources
from callsteward.outgoing.words import Actor
from callsteward.part import Rehearsal
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.callback_id import callback_id
from callsteward.record.facts import Fact

T = TypeVar("T")
# The state of a callback after each of the dialplan's reports.
_STATES = {
    CallbackSignal.OPERATOR_ANSWERED: CallbackState.OPERATOR_ANSWERED,
    CallbackSignal.DECLINED: CallbackState.DUE,
    CallbackSignal.DIALLING: CallbackState.DIALLING,
    CallbackSignal.REFUSED: CallbackState.CANCELLED,
}
_NOT_COUNTED = frozenset({CallbackState.SUPPRESSED, CallbackState.CANCELLED})


class CallbackRehearsal(Rehearsal):
    """Decides for the calls of one stream, on the stream's own clock."""

    def __init__(self, config: Config, tracker: Tracker) -> None:
        self._tracker = tracker
        hours = Hours(config)
        self._book = _Memory(hours, expire_ms=int(config.callback.expire_s * 1000), site=config.site.name)
        self._decisions = CallbackDecisions(
            may=May(guard=Guard(config), hours=hours, do_not_call=_Nobody(), zones=_Nowhere()),
            policy=Policy(config),
            ledger=self._book,
            now_ms=self._now_ms,
        )

    def _now_ms(self) -> int:
        return self._tracker.last_event_ms

    def judge(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts with each ended call's decision in its record."""
        if not facts:
            return facts
        self._book.pass_time(self._now_ms())
        return _at_once(self._decisions.judge(facts))

    def hear(self, event: ari.Event) -> None:
        """Take in the dialplan's report on a callback."""
        item = signals.read(event)
        callback = None if item is None else self._book.find(item.about)
        if item is None or callback is None:
            return
        state = _STATES.get(item.said)
        if item.said is CallbackSignal.OVER or (item.said is CallbackSignal.FENCE and item.at):
            state = CallbackState.REACHED if item.status == "ANSWER" else CallbackState.NOT_REACHED
        if state is not None:
            self._book.set(callback, state)
            if state in FINAL or state is CallbackState.DIALLING:
                self._decisions.over(callback)


class _Memory:
    """The callbacks of a stream."""

    def __init__(self, hours: Hours, *, expire_ms: int, site: str) -> None:
        self._hours = hours
        self._expire_ms = expire_ms
        self._site = site
        self._rows: dict[str, CallbackRow] = {}

    def find(self, name: str) -> CallbackRow | None:
        return self._rows.get(name)

    def set(self, callback: CallbackRow, to: CallbackState) -> CallbackRow | None:
        """Make a step. None if it is not allowed."""
        if callback.state not in sources(ALLOWED, to):
            return None
        after = self._rows[callback.id] = msgspec.structs.replace(callback, state=to)
        return after

    def pass_time(self, now_ms: int) -> None:
        """Expire or suppress callbacks that waited too long, or until the calling hours ended."""
        for callback in list(self._rows.values()):
            if callback.state not in OPEN:
                if callback.created_at_ms < now_ms - DAY_MS:
                    del self._rows[callback.id]
            elif callback.state is CallbackState.DUE:
                if now_ms - callback.created_at_ms > self._expire_ms:
                    self.set(callback, CallbackState.EXPIRED)
                elif callback.number is None or not self._hours.allow(
                    callback.number, callback.line, dropped_ms=callback.dropped_at_ms, at_ms=now_ms
                ):
                    self.set(callback, CallbackState.SUPPRESSED)

    async def decided(self, _call_id: str) -> CallbackDecision | None:
        return None

    async def open(
        self,
        record: CallRecord,
        decision: CallbackDecision,
        *,
        number: str | None,
        dropped_ms: int,
        at_ms: int,
    ) -> CallbackRow | None:
        name = callback_id(record.call_id)
        callback = self._rows[name] = CallbackRow(
            id=name,
            site=self._site,
            origin_call_id=record.call_id,
            line=record.line,
            number=number,
            client_masked=record.client_masked,
            client_ref=record.client_ref,
            operator=record.operator,
            state=CallbackState.DUE if decision.decision is Decision.DUE else CallbackState.SUPPRESSED,
            reason=decision.reason,
            dropped_at_ms=dropped_ms,
            created_at_ms=at_ms,
            changed_at_ms=at_ms,
        )
        return callback

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
    ) -> CallbackRow | None:
        del actor, at_ms, reason, evidence
        now = self._rows.get(callback.id)
        if now is None or (among is not None and now.state not in among):
            return None
        return self.set(now, to)

    async def opened(self) -> list[CallbackRow]:
        return []

    async def counts(self, number: str, line: str, at_ms: int) -> tuple[int, int]:
        counted = [row for row in self._rows.values() if row.state not in _NOT_COUNTED]
        return (
            sum(row.number == number and row.created_at_ms > at_ms - DAY_MS for row in counted),
            sum(row.line == line and row.created_at_ms > at_ms - HOUR_MS for row in counted),
        )


class _Nobody:
    async def has(self, _number: str) -> bool:
        return False


class _Nowhere:
    async def of(self, _number: str) -> ZoneInfo | None:
        return None


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: callbacks in memory do not make it wait."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    work.close()
    message = "a decision in memory waited"
    raise RuntimeError(message)

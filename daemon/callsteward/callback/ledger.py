"""The ledger of callbacks: the decision, every step with its actor, and the counts for the limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.callback.states import (
    ALLOWED,
    CANCELLABLE,
    OPEN,
    UNDER_WAY,
    CallbackMoved,
    CallbackRow,
    CallbackState,
    Transition,
)
from callsteward.clock import DAY_MS, HOUR_MS
from callsteward.outgoing import ledger
from callsteward.outgoing.contacts import shared
from callsteward.outgoing.plan import Plan
from callsteward.outgoing.words import Actor
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.callback_id import callback_id
from callsteward.store.clauses import one_of
from callsteward.store.engine import failing
from callsteward.store.message import Announce, nobody
from callsteward.store.tables import callback_transitions, callbacks, calls, client_contacts

# A callback that never rang a client counts towards no limit.
_COUNTED = frozenset(CallbackState) - {CallbackState.SUPPRESSED, CallbackState.CANCELLED}


def _nobody_asked(to: CallbackState, _at_ms: int) -> Mapping[str, Any]:
    return {"asked": None, "channel_id": None} if to is CallbackState.DUE else {}


PLAN = Plan(
    what="callbacks",
    kind="callback",
    table=callbacks,
    call="origin_call_id",
    name="callback_id",
    # The newest client is the likeliest to be there.
    order=(callbacks.c.dropped_at_ms.desc(), callbacks.c.id.desc()),
    row=CallbackRow,
    fact=CallbackMoved,
    states=CallbackState,
    allowed=ALLOWED,
    open=OPEN,
    under_way=UNDER_WAY,
    rings=CallbackState.OFFERED,
    stopped=CallbackState.CANCELLED,
    stoppable=CANCELLABLE,
    cancelled="operator_hung_up",
    also=_nobody_asked,
    story=callback_transitions.c.callback,
    summed=True,
)


def _met_elsewhere(site: str) -> ColumnElement[bool]:
    """The condition on a site's callbacks that another site had the client after the broken call began.

    From its beginning on, as for calls at the same site: the client may have called again before the loss of
    the connection was noticed.
    """
    began = (
        select(calls.c.started_at_ms)
        .where(calls.c.site == callbacks.c.site, calls.c.call_id == callbacks.c.origin_call_id)
        .correlate(callbacks)
        .scalar_subquery()
    )
    return exists().where(
        client_contacts.c.number == callbacks.c.number,
        client_contacts.c.site != site,
        client_contacts.c.at_ms > func.coalesce(began, callbacks.c.dropped_at_ms),
    )


class CallbackLedger(ledger.Ledger[CallbackRow, CallbackState]):
    """One site's callbacks."""

    def __init__(self, engine: AsyncEngine, site: str, announce: Announce = nobody) -> None:
        super().__init__(PLAN, engine, site, announce)
        self._met_elsewhere = _met_elsewhere(site) if shared(engine) else None
        if self._met_elsewhere is not None:
            self._may_ring = (*self._may_ring, ~self._met_elsewhere)

    async def decided(self, call_id: str) -> CallbackDecision | None:
        """The decision written down for a call, None if there is none yet. A journal may be run again."""
        query = select(callbacks.c.decision, callbacks.c.decision_reason).where(
            callbacks.c.site == self._site, callbacks.c.origin_call_id == call_id
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        return None if row is None else CallbackDecision(Decision(row.decision), row.decision_reason)

    async def open(
        self,
        record: CallRecord,
        decision: CallbackDecision,
        *,
        number: str | None,
        dropped_ms: int,
        at_ms: int,
    ) -> CallbackRow | None:
        """Write down the callback of a call, due or suppressed. None if the call has a row already."""
        values = {
            "origin_call_id": record.call_id,
            "callback_id": callback_id(record.call_id),
            "line": record.line,
            "number": number,
            "client_masked": record.client_masked,
            "client_ref": record.client_ref,
            "operator": record.operator,
            "decision": decision.decision.value,
            "decision_reason": decision.reason,
            "reason": decision.reason,
            "dropped_at_ms": dropped_ms,
            "created_at_ms": at_ms,
            "changed_at_ms": at_ms,
        }
        evidence = "; ".join((f"hangup {record.hangup.first.value}", *record.hangup.evidence))
        state = CallbackState.DUE if decision.decision is Decision.DUE else CallbackState.SUPPRESSED
        return await self._open(state, values, evidence=evidence)

    async def met_elsewhere(self) -> list[CallbackRow]:
        """The open callbacks whose client has had contact with another site since."""
        if self._met_elsewhere is None:
            return []
        query = self._mine().where(one_of(callbacks.c.state, CANCELLABLE), self._met_elsewhere)
        return await self._read(query.order_by(callbacks.c.id))

    async def listed(
        self, *, states: Collection[CallbackState] = (), limit: int | None = None
    ) -> list[CallbackRow]:
        """Callbacks in these states (none: all), newest first."""
        query = self._mine().order_by(callbacks.c.id.desc()).limit(limit)
        if states:
            query = query.where(one_of(callbacks.c.state, states))
        return await self._read(query)

    async def story(self, callback: CallbackRow) -> list[Transition]:
        """Every step of a callback, oldest first."""
        query = (
            select(callback_transitions)
            .join(callbacks, callbacks.c.id == callback_transitions.c.callback)
            .where(callbacks.c.site == self._site, callbacks.c.origin_call_id == callback.origin_call_id)
            .order_by(callback_transitions.c.id)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        return [
            Transition(
                at_ms=row.at_ms,
                from_state=None if row.from_state is None else CallbackState(row.from_state),
                state=CallbackState(row.state),
                actor=Actor(row.actor),
                reason=row.reason,
                operator=row.operator,
                evidence=row.evidence,
            )
            for row in rows
        ]

    async def counts(self, number: str, line: str, at_ms: int) -> tuple[int, int]:
        """Callbacks to the number in the 24 hours before, and of the line in the hour before.

        A number's callbacks are those of all sites with the same database: it is one client's phone.
        """
        counted = (one_of(callbacks.c.state, _COUNTED),)
        by_number = (callbacks.c.number == number, callbacks.c.created_at_ms > at_ms - DAY_MS)
        by_line = (
            self._of_site,
            callbacks.c.line == line,
            callbacks.c.created_at_ms > at_ms - HOUR_MS,
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                found = [
                    (await connection.execute(select(func.count()).where(*counted, *where))).scalar_one()
                    for where in (by_number, by_line)
                ]
        return found[0], found[1]

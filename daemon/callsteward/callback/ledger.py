"""The ledger: one row per call that made a callback due, and every step of it.

A step is on disk when its method returns (SQLite runs with synchronous=FULL), so the act it allows comes
after it. A step is made from the states it may follow and from no other: two that race (the daemon, an
admin's `callbacks cancel`) get one winner, and the loser is told.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward import faults
from callsteward.callback.states import (
    FINAL,
    OPEN,
    Actor,
    Callback,
    CallbackMoved,
    State,
    Transition,
    sources,
)
from callsteward.clock import DAY_MS, HOUR_MS
from callsteward.record.call import CallbackDecision, CallRecord, Decision
from callsteward.record.callback_id import callback_id
from callsteward.store.clauses import one_of
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.outbox import Announce, enqueue, nobody
from callsteward.store.tables import callback_transitions, callbacks, do_not_call

# A callback that never rang a client counts towards no limit.
_COUNTED = frozenset(State) - {State.SUPPRESSED, State.CANCELLED}


# Made once, as `one_of` is.
_ONE_MORE = callbacks.c.attempts + 1
_FORBIDDEN = exists().where(do_not_call.c.number == callbacks.c.number)
_NOT_FORBIDDEN = ~_FORBIDDEN


class Ledger:
    """One site's callbacks. Every method raises StoreError when the database fails.

    `announce` makes the messages that a step is told with; they are stored in the step's transaction.
    """

    def __init__(self, engine: AsyncEngine, site: str, announce: Announce = nobody) -> None:
        self._engine = engine
        self._site = site
        self._announce = announce
        self._insert = insert_into(engine, callbacks).on_conflict_do_nothing(
            index_elements=["site", "origin_call_id"]
        )

    async def decided(self, call_id: str) -> CallbackDecision | None:
        """What was decided for a call, None where nothing was written: a journal may be run again."""
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
    ) -> Callback | None:
        """Write the callback of a call, due or suppressed; None where the call has its row already."""
        state = State.DUE if decision.decision is Decision.DUE else State.SUPPRESSED
        faults.reached(f"before:{state.value}")
        values = {
            "site": self._site,
            "origin_call_id": record.call_id,
            "callback_id": callback_id(record.call_id),
            "line": record.line,
            "number": number,
            "client_masked": record.client_masked,
            "client_ref": record.client_ref,
            "operator": record.operator,
            "decision": decision.decision.value,
            "decision_reason": decision.reason,
            "state": state.value,
            "reason": decision.reason,
            "dropped_at_ms": dropped_ms,
            "created_at_ms": at_ms,
            "changed_at_ms": at_ms,
            "attempts": 0,
        }
        with failing("write to"):
            async with writing(self._engine) as connection:
                row = (
                    await connection.execute(self._insert.values(**values).returning(*callbacks.c))
                ).one_or_none()
                if row is not None:
                    evidence = "; ".join((f"hangup {record.hangup.first.value}", *record.hangup.evidence))
                    await self._note(
                        connection, row, None, state, Actor.DAEMON, decision.reason, at_ms, None, evidence
                    )
        faults.reached(f"after:{state.value}")
        return None if row is None else _callback(row)

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
        asked: str | None = None,
        channel_id: str | None = None,
    ) -> Callback | None:
        """Make a step, durably; None where the callback is in no state it may follow.

        `among` narrows those states down. `asked` and `channel_id` begin an attempt at an operator, which no
        client on the do-not-call list gets: the list is read in the transaction that allows the ring.
        """
        faults.reached(f"before:{to.value}")
        allowed = sources(to) if among is None else sources(to) & frozenset(among)
        changes: dict[str, Any] = {"state": to.value, "reason": reason, "changed_at_ms": at_ms}
        if to is State.OFFERED:
            changes |= {"attempts": _ONE_MORE, "asked": asked, "channel_id": channel_id}
        elif to is State.DUE:
            changes |= {"asked": None, "channel_id": None}
        where: tuple[ColumnElement[bool], ...] = (
            callbacks.c.site == self._site,
            callbacks.c.origin_call_id == callback.origin_call_id,
            one_of(callbacks.c.state, allowed),
        )
        if to is State.OFFERED:
            where = (*where, _NOT_FORBIDDEN)
        with failing("write to"):
            async with writing(self._engine) as connection:
                # PostgreSQL waits here for another process's step, and then has what that one left.
                before = (
                    await connection.execute(select(callbacks.c.state).where(*where).with_for_update())
                ).scalar_one_or_none()
                if before is None:
                    return None
                row = (
                    await connection.execute(
                        update(callbacks).where(*where).values(**changes).returning(*callbacks.c)
                    )
                ).one()
                operator = asked if asked is not None else callback.asked
                await self._note(connection, row, State(before), to, actor, reason, at_ms, operator, evidence)
        faults.reached(f"after:{to.value}")
        return _callback(row)

    async def opened(self) -> list[Callback]:
        """The callbacks that are not over, newest first: the newest client is the likeliest to be there."""
        query = self._mine().where(one_of(callbacks.c.state, OPEN))
        return await self._read(query.order_by(callbacks.c.dropped_at_ms.desc(), callbacks.c.id.desc()))

    async def forbidden(self) -> list[Callback]:
        """The callbacks that are not over and whose client is on the do-not-call list."""
        query = self._mine().where(one_of(callbacks.c.state, OPEN), _FORBIDDEN)
        return await self._read(query.order_by(callbacks.c.id))

    async def forbids(self, callback: Callback) -> bool:
        """Whether a callback's client is on the do-not-call list."""
        query = self._mine().where(callbacks.c.origin_call_id == callback.origin_call_id, _FORBIDDEN)
        return bool(await self._read(query))

    async def listed(self, *, states: Collection[State] = (), limit: int | None = None) -> list[Callback]:
        """Callbacks in these states (none: all), newest first."""
        query = self._mine().order_by(callbacks.c.id.desc()).limit(limit)
        if states:
            query = query.where(one_of(callbacks.c.state, states))
        return await self._read(query)

    async def find(self, name: str) -> Callback | None:
        """A callback by its id or by the call that broke."""
        query = self._mine().where((callbacks.c.callback_id == name) | (callbacks.c.origin_call_id == name))
        return next(iter(await self._read(query)), None)

    async def story(self, callback: Callback) -> list[Transition]:
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
                from_state=None if row.from_state is None else State(row.from_state),
                state=State(row.state),
                actor=Actor(row.actor),
                reason=row.reason,
                operator=row.operator,
                evidence=row.evidence,
            )
            for row in rows
        ]

    async def counts(self, number: str, line: str, at_ms: int) -> tuple[int, int]:
        """Callbacks to the number in the 24 hours before, and of the line in the hour before."""
        counted = (callbacks.c.site == self._site, one_of(callbacks.c.state, _COUNTED))
        by_number = (callbacks.c.number == number, callbacks.c.created_at_ms > at_ms - DAY_MS)
        by_line = (callbacks.c.line == line, callbacks.c.created_at_ms > at_ms - HOUR_MS)
        with failing("read"):
            async with self._engine.connect() as connection:
                found = [
                    (await connection.execute(select(func.count()).where(*counted, *where))).scalar_one()
                    for where in (by_number, by_line)
                ]
        return found[0], found[1]

    async def fenced_until(self, before_ms: int, limit: int) -> list[Callback]:
        """Callbacks over by then whose fence Asterisk may still have, oldest first."""
        query = self._mine().where(
            callbacks.c.changed_at_ms < before_ms,
            one_of(callbacks.c.state, FINAL),
            # No operator was asked: nothing was ever claimed.
            callbacks.c.attempts > 0,
            callbacks.c.fence_gone_at_ms.is_(None),
        )
        return await self._read(query.order_by(callbacks.c.id).limit(limit))

    async def fence_gone(self, callback: Callback, at_ms: int) -> None:
        """Asterisk says that it has no fence of a callback any more."""
        where = (callbacks.c.site == self._site, callbacks.c.origin_call_id == callback.origin_call_id)
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(update(callbacks).where(*where).values(fence_gone_at_ms=at_ms))

    async def forget_numbers(self, before_ms: int) -> list[Callback]:
        """Takes the number out of every callback that was over by then; returns those, as they were."""
        where = (
            callbacks.c.site == self._site,
            callbacks.c.changed_at_ms < before_ms,
            one_of(callbacks.c.state, FINAL),
            callbacks.c.number.is_not(None),
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                rows = (await connection.execute(select(callbacks).where(*where))).all()
                await connection.execute(update(callbacks).where(*where).values(number=None))
        return [_callback(row) for row in rows]

    def _mine(self) -> Select[Any]:
        return select(callbacks).where(callbacks.c.site == self._site)

    async def _read(self, query: Select[Any]) -> list[Callback]:
        with failing("read"):
            async with self._engine.connect() as connection:
                return [_callback(row) for row in await connection.execute(query)]

    async def _note(
        self,
        connection: AsyncConnection,
        row: Row[Any],
        before: State | None,
        state: State,
        actor: Actor,
        reason: str,
        at_ms: int,
        operator: str | None,
        evidence: str,
    ) -> None:
        await connection.execute(
            callback_transitions.insert().values(
                callback=row.id,
                at_ms=at_ms,
                from_state=None if before is None else before.value,
                state=state.value,
                actor=actor.value,
                reason=reason,
                operator=operator,
                evidence=evidence,
            )
        )
        await enqueue(connection, self._announce(CallbackMoved(_callback(row), actor)))


def _callback(row: Row[Any]) -> Callback:
    return Callback(
        id=row.callback_id,
        site=row.site,
        origin_call_id=row.origin_call_id,
        line=row.line,
        number=row.number,
        client_masked=row.client_masked,
        client_ref=row.client_ref,
        operator=row.operator,
        state=State(row.state),
        reason=row.reason,
        dropped_at_ms=row.dropped_at_ms,
        created_at_ms=row.created_at_ms,
        changed_at_ms=row.changed_at_ms,
        attempts=row.attempts,
        asked=row.asked,
        channel_id=row.channel_id,
    )

"""Calls that nobody answered and nobody has dealt with since: no contact may go unnoticed (standard.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.calls.facts import CallEnded, Fact
from callsteward.calls.record import CallRecord, Direction, Outcome
from callsteward.store.engine import failing, writing
from callsteward.store.records import decode
from callsteward.store.tables import calls, lost_calls, lost_calls_settled

_UNANSWERED = frozenset(
    {Outcome.ABANDONED, Outcome.SHORT_ABANDONED, Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED}
)
# A client who left in the greeting has not been spoken to.
_SPOKEN_TO = frozenset({Outcome.COMPLETED, Outcome.MID_DIALOGUE_DROP})
_WITH_CLIENTS = frozenset({Direction.INBOUND, Direction.OUTBOUND, Direction.CALLBACK})
TALK = "talk"
"""`settled_by` where the client has been spoken to; the comment names the call."""


class LostCalls:
    """The list of one site. Every method raises StoreError when the database fails.

    A call leaves it when its client has been spoken to since, in whichever direction, or when somebody
    settles it with a comment. Clients are told apart by their number, which goes with the row.
    """

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._add = insert(lost_calls).on_conflict_do_nothing(index_elements=["site", "call_id"])
        self._settle = insert(lost_calls_settled).on_conflict_do_nothing(index_elements=["site", "call_id"])

    async def note(self, facts: Sequence[Fact], read: Callable[[str], str | None]) -> bool:
        """Take calls that ended into account, in their order; whether one was lost or settled.

        `read` makes a number E.164. What a journal brings a second time changes nothing.
        """
        ended = [fact for fact in facts if isinstance(fact, CallEnded) and _counts(fact.record)]
        if not ended:
            return False
        if all(fact.record.outcome in _SPOKEN_TO for fact in ended) and not await self._any():
            return False  # the usual case, and no write
        changed = False
        with failing("write to"):
            async with writing(self._engine) as connection:
                for fact in ended:
                    number = read(fact.client_number)
                    if fact.record.outcome in _UNANSWERED:
                        changed |= await self._lost(connection, fact.record, number)
                    else:
                        changed |= await self._spoken_to(connection, fact.record, number)
        return changed

    async def _any(self) -> bool:
        query = select(exists().where(lost_calls.c.site == self._site))
        with failing("read"):
            async with self._engine.connect() as connection:
                return bool((await connection.execute(query)).scalar_one())

    async def _lost(self, connection: AsyncConnection, record: CallRecord, number: str | None) -> bool:
        settled = select(lost_calls_settled.c.id).where(
            lost_calls_settled.c.site == self._site, lost_calls_settled.c.call_id == record.call_id
        )
        if (await connection.execute(settled)).first() is not None:
            return False
        row = {
            "site": self._site,
            "call_id": record.call_id,
            "line": record.line,
            "number": number,
            "client_ref": record.client_ref,
            "at_ms": _at_ms(record),
        }
        return (
            await connection.execute(self._add.values(**row).returning(lost_calls.c.id))
        ).first() is not None

    async def _spoken_to(self, connection: AsyncConnection, record: CallRecord, number: str | None) -> bool:
        same = []
        if number is not None:
            same.append(lost_calls.c.number == number)
        if record.client_ref is not None:
            same.append(lost_calls.c.client_ref == record.client_ref)
        if not same:
            return False
        query = select(lost_calls.c.call_id).where(
            lost_calls.c.site == self._site, lost_calls.c.at_ms < _at_ms(record), or_(*same)
        )
        found = (await connection.execute(query)).scalars().all()
        for call_id in found:
            await self._close(connection, call_id, by=TALK, comment=f"call {record.call_id}")
        return bool(found)

    async def _close(self, connection: AsyncConnection, call_id: str, *, by: str, comment: str) -> None:
        await connection.execute(
            self._settle.values(
                site=self._site,
                call_id=call_id,
                at_ms=time.time_ns() // 1_000_000,
                settled_by=by,
                comment=comment,
            )
        )
        await connection.execute(delete(lost_calls).where(*self._one(call_id)))

    async def listed(self, line: str | None = None) -> list[CallRecord]:
        """Lost calls, the one that waits longest first."""
        query = (
            select(calls.c.record)
            .join(
                lost_calls,
                and_(lost_calls.c.site == calls.c.site, lost_calls.c.call_id == calls.c.call_id),
            )
            .where(lost_calls.c.site == self._site)
            .order_by(lost_calls.c.at_ms, lost_calls.c.id)
        )
        if line is not None:
            query = query.where(lost_calls.c.line == line)
        with failing("read"):
            async with self._engine.connect() as connection:
                return [decode(row.record) for row in await connection.execute(query)]

    async def counts(self) -> dict[str, int]:
        """How many calls are on the list, by line; a line without any is not there."""
        query = (
            select(lost_calls.c.line, func.count().label("calls"))
            .where(lost_calls.c.site == self._site)
            .group_by(lost_calls.c.line)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return {row.line: row.calls for row in await connection.execute(query)}

    async def settle(self, call_id: str, *, by: str, comment: str) -> bool:
        """Take a call off the list; False where it is not on it."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                if not (await connection.execute(select(exists().where(*self._one(call_id))))).scalar_one():
                    return False
                await self._close(connection, call_id, by=by, comment=comment)
        return True

    async def forget_numbers(self, before_ms: int) -> None:
        """Take the numbers out of calls lost before then; only a comment can settle those any more."""
        old = (
            lost_calls.c.site == self._site,
            lost_calls.c.at_ms < before_ms,
            lost_calls.c.number.is_not(None),
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(update(lost_calls).where(*old).values(number=None))

    def _one(self, call_id: str) -> tuple[Any, ...]:
        return lost_calls.c.site == self._site, lost_calls.c.call_id == call_id


def _counts(record: CallRecord) -> bool:
    if record.outcome in _UNANSWERED:
        return record.direction is Direction.INBOUND
    return record.outcome in _SPOKEN_TO and record.direction in _WITH_CLIENTS


def _at_ms(record: CallRecord) -> int:
    """When the call came; for one whose start nobody saw, when it ended."""
    moment = record.started_at or record.ended_at
    return 0 if moment is None else round(datetime.fromisoformat(moment).timestamp() * 1000)

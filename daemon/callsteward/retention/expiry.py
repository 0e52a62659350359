"""Records past `store.retention_days` are deleted, with what belongs to their calls; what is open stays.

Open is: a callback or rating call that is not over, a lost call that nobody has dealt with, a complaint that
nobody has acknowledged. Their records stay until they are settled. A row of a ledger goes once its own
retention has taken number, comment and fence: before that Asterisk still has something of it.

A step deletes a few calls in one short transaction and then pauses for several times as long, so that
whoever stores a call meanwhile waits for no more than one such step. SQLite uses the pages that become free
for the calls to come; PostgreSQL has autovacuum.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Table, and_, delete, exists, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.clock import DAY_MS, wall_ms
from callsteward.outgoing.plan import Plan
from callsteward.retention.phones import delete_phone_states
from callsteward.retention.steps import delete_in_steps
from callsteward.store.clauses import one_of
from callsteward.store.engine import failing, writing
from callsteward.store.expired import delete_before
from callsteward.store.forgetting import hourly
from callsteward.store.tables import (
    call_clients,
    call_tags,
    calls,
    complaints,
    lost_calls,
    lost_calls_settled,
)

log = structlog.get_logger(__name__)

# Calls deleted in one transaction, and the pause after it, in times of its length.
AT_ONCE = 50
REST = 4
_BELONGING = (call_tags, call_clients, lost_calls_settled)
_ACKNOWLEDGED = complaints.c.acknowledged_at_ms.is_not(None)


async def _nothing(_before_ms: int) -> None:
    """Nothing is made."""


class Expiry:
    """One site's. Every method but `run` raises StoreError when the database fails.

    `now_ms` is Asterisk's clock; the machine's own has to agree that a record is old. Days are of `zone`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        site: str,
        days: int,
        plans: Sequence[Plan[Any, Any]],
        *,
        zone: tzinfo,
        now_ms: Callable[[], int],
        machine_ms: Callable[[], int] = wall_ms,
        before: Callable[[int], Awaitable[None]] = _nothing,
    ) -> None:
        """`before` makes what outlives the records that arrived before a moment; then they are deleted."""
        self._engine = engine
        self._site = site
        self._keep_ms = days * DAY_MS
        self._plans = plans
        self._zone = zone
        self._now_ms = now_ms
        self._machine_ms = machine_ms
        self._before = before

    async def run(self) -> None:
        """Delete until cancelled, each hour what has become old. A store that fails is tried again."""
        await hourly(self.work, failing="old records are not deleted", action="records_expire")

    async def work(self) -> int:
        """Delete all that is old, step by step; how many records there were."""
        before_ms = self._before_ms()
        await self._before(before_ms)
        # First: a report that is made meanwhile knows that the time is not complete any more.
        await delete_before(self._engine, self._site, before_ms)
        count, after = 0, (0, 0)
        while True:
            began_s = time.monotonic()
            found = await self._old(before_ms, after)
            if found:
                count += await self._delete([call_id for _, _, call_id in found])
                after = found[-1][:2]
            if len(found) < AT_ONCE:
                break
            await asyncio.sleep(REST * (time.monotonic() - began_s))
        for plan in self._plans:
            await self._delete_ledger(plan, before_ms)
        await self._delete_in_steps(complaints, and_(complaints.c.raised_at_ms < before_ms, _ACKNOWLEDGED))
        await delete_phone_states(self._engine, self._site, before_ms, rest=REST)
        if count:
            log.info("deleted old records", action="records_expired", records=count)
        return count

    def _before_ms(self) -> int:
        """The beginning of the oldest day that is kept: so a report has the whole of a day, or nothing."""
        oldest_ms = min(self._now_ms(), self._machine_ms()) - self._keep_ms
        day = datetime.fromtimestamp(oldest_ms / 1000, self._zone)
        return round(day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)

    async def _old(self, before_ms: int, after: tuple[int, int]) -> list[tuple[int, int, str]]:
        """Place (arrival and id) and call of the next records that are old and have nothing open."""
        query = (
            select(calls.c.at_ms, calls.c.id, calls.c.call_id)
            .where(
                calls.c.at_ms < before_ms,
                calls.c.at_ms >= after[0],
                tuple_(calls.c.at_ms, calls.c.id) > after,
                # As in the intervals: by the index on the time, not on the site.
                (calls.c.site + "") == self._site,
                ~self._is_open(),
            )
            .order_by(calls.c.at_ms, calls.c.id)
            .limit(AT_ONCE)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return [(row.at_ms, row.id, row.call_id) for row in await connection.execute(query)]

    def _is_open(self) -> ColumnElement[bool]:
        """True if something of a call is not over yet."""
        of_call = [
            exists().where(table.c.site == calls.c.site, table.c.call_id == calls.c.call_id, *more)
            for table, more in ((lost_calls, ()), (complaints, (~_ACKNOWLEDGED,)))
        ]
        for plan in self._plans:
            table = plan.table
            of_call.append(
                exists().where(
                    table.c.site == calls.c.site,
                    table.c[plan.call] == calls.c.call_id,
                    one_of(table.c.state, plan.unfinished),
                )
            )
        return or_(*of_call)

    async def _delete(self, call_ids: Sequence[str]) -> int:
        """Delete records with what belongs to them; what was opened since they were read stays."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                gone = list(
                    await connection.scalars(
                        delete(calls)
                        .where(calls.c.site == self._site, calls.c.call_id.in_(call_ids), ~self._is_open())
                        .returning(calls.c.call_id)
                    )
                )
                for table in _BELONGING:
                    await connection.execute(
                        delete(table).where(table.c.site == self._site, table.c.call_id.in_(gone))
                    )
        return len(gone)

    async def _delete_ledger(self, plan: Plan[Any, Any], before_ms: int) -> None:
        table = plan.table
        no_fence = or_(table.c.attempts == 0, table.c.fence_gone_at_ms.is_not(None))
        old = [
            table.c.changed_at_ms < before_ms,
            ~one_of(table.c.state, plan.unfinished),
            table.c.number.is_(None),
            no_fence,
        ]
        if plan.kept is not None:
            old.append(~plan.kept)
        await self._delete_in_steps(table, and_(*old), plan)

    async def _delete_in_steps(
        self, table: Table, old: ColumnElement[bool], plan: Plan[Any, Any] | None = None
    ) -> None:
        """Delete a table's old rows, with the steps of a plan's ledger."""

        async def story(connection: AsyncConnection, ids: Sequence[int]) -> None:
            if plan is not None and plan.story is not None:
                await connection.execute(delete(plan.story.table).where(plan.story.in_(ids)))

        mine = and_(table.c.site == self._site, old)
        key = (table.c.id,)
        await delete_in_steps(self._engine, table, mine, order=key, at_once=AT_ONCE, rest=REST, along=story)

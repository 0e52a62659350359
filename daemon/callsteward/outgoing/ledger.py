"""The ledger of calls to clients: one row for each call that made one due, with every step of it.

A step is on disk when its method returns (SQLite runs with synchronous=FULL); the act that it allows comes
after that. A step is made only from a state that it may follow: if two processes (the daemon, an admin's
`callbacks cancel`) try to make one at the same time, one succeeds and the other gets None.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic

from sqlalchemy import ColumnElement, RowMapping, Select, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward import faults
from callsteward.outgoing.plan import Plan, R, S, sources
from callsteward.outgoing.words import Actor
from callsteward.store.changed_slots import ChangedSlots
from callsteward.store.clauses import one_of
from callsteward.store.direct import Sql, read
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.message import Announce, nobody
from callsteward.store.outbox import enqueue
from callsteward.store.prepared import Prepared
from callsteward.store.tables import do_not_call


class Ledger(Generic[R, S]):
    """One site's calls of one kind. Every method raises StoreError when the database fails.

    `announce` makes the messages about a step; they are stored in the step's transaction.
    """

    def __init__(self, plan: Plan[R, S], engine: AsyncEngine, site: str, announce: Announce = nobody) -> None:
        self.plan = plan
        self._table = plan.table
        self._engine = engine
        self._site = site
        self._announce = announce
        self._call = plan.table.c[plan.call]
        self._insert = insert_into(engine, plan.table).on_conflict_do_nothing(
            index_elements=["site", plan.call]
        )
        self._changed = ChangedSlots(engine)
        # Made once, as `one_of` is.
        self._of_site = plan.table.c.site == site
        self._one_more = plan.table.c.attempts + 1
        self._forbidden = exists().where(do_not_call.c.number == plan.table.c.number)
        # The conditions for the step that lets a phone ring, read in its own transaction.
        self._may_ring: tuple[ColumnElement[bool], ...] = (~self._forbidden,)
        opened = self._mine().where(one_of(plan.table.c.state, plan.open))
        self._named = Prepared(
            self._mine().where(
                or_(plan.table.c[plan.name] == bindparam("about"), self._call == bindparam("about"))
            )
        )
        self._of_call = Prepared(self._mine().where(self._call == bindparam("about")))
        self._opened = Prepared(opened.order_by(*plan.order))
        # Whichever site's it is: it is one client's phone.
        self._open_to = Prepared(
            select(plan.table)
            .where(one_of(plan.table.c.state, plan.open), plan.table.c.number == bindparam("about"))
            .limit(1)
        )

    # --- steps ----------------------------------------------------------------------------------------

    async def move(
        self,
        row: R,
        to: S,
        *,
        at_ms: int,
        actor: Actor = Actor.DAEMON,
        reason: str = "",
        evidence: str = "",
        among: Collection[S] | None = None,
        asked: str | None = None,
        channel_id: str | None = None,
    ) -> R | None:
        """Make a step and write it to disk. None if the row is in no state that the step may follow.

        `among` narrows those states down. With `channel_id` (and `asked`, the operator) an attempt begins. A
        client on the do-not-call list gets none: the list is read in the same transaction.
        """
        allowed = sources(self.plan.allowed, to)
        changes: dict[str, Any] = {"state": to.value, "reason": reason, "changed_at_ms": at_ms}
        changes |= self.plan.also(to, at_ms)
        if to is self.plan.rings:
            changes |= {"attempts": self._one_more, "channel_id": channel_id}
            if asked is not None:
                changes["asked"] = asked
        return await self._change(
            row,
            to,
            allowed if among is None else allowed & frozenset(among),
            changes,
            actor=actor,
            evidence=evidence,
            operator=getattr(row, "asked", None) if asked is None else asked,
        )

    async def stop(self, row: R, *, actor: Actor, at_ms: int, reason: str, evidence: str) -> R | None:
        """End what is open for a client who is not to be called; None where it is too late for that."""
        return await self.move(
            row,
            self.plan.stopped,
            actor=actor,
            at_ms=at_ms,
            reason=reason,
            evidence=evidence,
            among=self.plan.stoppable,
        )

    async def _open(self, state: S, values: Mapping[str, Any], *, evidence: str = "") -> R | None:
        """Write the row of a call. None if the call has one already."""
        point = f"{self.plan.prefix}{state.value}"
        faults.reached(f"before:{point}")
        values = {"site": self._site, "state": state.value, "attempts": 0, **values}
        with failing("write to"):
            async with writing(self._engine) as connection:
                made = await connection.execute(self._insert.values(**values).returning(*self._table.c))
                row = made.mappings().one_or_none()
                if row is None:
                    return None
                opened = await self._told(connection, row, None, Actor.DAEMON, evidence, None)
        faults.reached(f"after:{point}")
        return opened

    async def _change(
        self,
        row: R,
        to: S | None,
        allowed: Collection[S],
        changes: Mapping[str, Any],
        *,
        actor: Actor = Actor.DAEMON,
        evidence: str = "",
        operator: str | None = None,
    ) -> R | None:
        """Change a row that is in one of the allowed states; `to` is None for a change that is no step."""
        point = f"{self.plan.prefix}{'kept' if to is None else to.value}"
        faults.reached(f"before:{point}")
        where = (*self._one(row), one_of(self._table.c.state, allowed))
        if to is self.plan.rings:
            where = (*where, *self._may_ring)
        with failing("write to"):
            async with writing(self._engine) as connection:
                # PostgreSQL waits here for another process's step, and then reads the state after it.
                seen = await connection.execute(select(self._table.c.state).where(*where).with_for_update())
                before = seen.scalar_one_or_none()
                if before is None:
                    return None
                changed = await connection.execute(
                    update(self._table).where(*where).values(**changes).returning(*self._table.c)
                )
                after = await self._told(
                    connection, changed.mappings().one(), before, actor, evidence, operator
                )
        faults.reached(f"after:{point}")
        return after

    async def _told(
        self,
        connection: AsyncConnection,
        row: RowMapping,
        before: str | None,
        actor: Actor,
        evidence: str,
        operator: str | None,
    ) -> R:
        """The row as it is now. Adds the step to the story, and its message to the outbox."""
        story = self.plan.story
        if story is not None:
            step = {
                story.name: row["id"],
                "at_ms": row["changed_at_ms"],
                "from_state": before,
                "state": row["state"],
                "actor": actor.value,
                "reason": row["reason"],
                "operator": operator,
                "evidence": evidence,
            }
            await connection.execute(story.table.insert().values(**step))
        if self.plan.summed:
            await self._changed.count_call(connection, self._site, row[self.plan.call])
        after = self.plan.read(row)
        await enqueue(connection, self._announce(self.plan.fact(after, actor)))
        return after

    # --- what is there --------------------------------------------------------------------------------

    async def find(self, name: str) -> R | None:
        """A row by its name or by the call that it is about."""
        return next(iter(await self._found(self._named, name)), None)

    async def of_call(self, call_id: str) -> R | None:
        """The row of a call, None where it has none."""
        return next(iter(await self._found(self._of_call, call_id)), None)

    async def opened(self) -> list[R]:
        """The rows that are open, in the order in which they are worked on."""
        return await self._found(self._opened)

    async def open_to(self, number: str | None) -> bool:
        """True if a call to this client is open, at any site with the same database."""
        return number is not None and bool(await self._found(self._open_to, number))

    def of_call_in(self, sql: Sql, call_id: str) -> R | None:
        """The row of a call, in a piece of work (`store.direct`)."""
        return next(iter(self._rows(sql.rows(self._of_call, {"about": call_id}))), None)

    def open_to_in(self, sql: Sql, number: str | None) -> bool:
        """True if a call to this client is open, in a piece of work (`store.direct`)."""
        return number is not None and bool(sql.rows(self._open_to, {"about": number}))

    async def forbidden(self) -> list[R]:
        """The open rows whose client is on the do-not-call list."""
        query = self._mine().where(one_of(self._table.c.state, self.plan.open), self._forbidden)
        return await self._read(query.order_by(self._table.c.id))

    async def forbids(self, row: R) -> bool:
        """True if a row's client is on the do-not-call list."""
        return bool(await self._read(self._mine().where(*self._one(row), self._forbidden)))

    def call_of(self, row: R) -> str:
        """The call that a row is about."""
        return str(getattr(row, self.plan.call))

    # --- forgetting -----------------------------------------------------------------------------------

    async def forget_numbers(self, before_ms: int) -> None:
        """Delete the number from every row that was over by then."""
        await self._set(*self._over_by(before_ms), self._table.c.number.is_not(None), number=None)

    async def kept_until(self, before_ms: int, *, after: str = "", limit: int) -> list[R]:
        """Rows that were over by then and of which Asterisk may still have data, by call from `after` on."""
        # Without an attempt there is no fence.
        fence = and_(self._table.c.attempts > 0, self._table.c.fence_gone_at_ms.is_(None))
        kept = fence if self.plan.kept is None else or_(self.plan.kept, fence)
        query = self._mine().where(self._call > after, *self._over_by(before_ms), kept)
        return await self._read(query.order_by(self._call).limit(limit))

    async def fence_gone(self, row: R, at_ms: int) -> None:
        """Asterisk has confirmed that the fence of a row is gone."""
        await self._set(*self._one(row), fence_gone_at_ms=at_ms)

    # --- statements -----------------------------------------------------------------------------------

    def _one(self, row: R) -> tuple[ColumnElement[bool], ...]:
        return (self._of_site, self._call == self.call_of(row))

    def _over_by(self, before_ms: int) -> tuple[ColumnElement[bool], ...]:
        return (
            self._of_site,
            self._table.c.changed_at_ms < before_ms,
            one_of(self._table.c.state, self.plan.over),
        )

    async def _set(self, *where: ColumnElement[bool], **values: object) -> None:
        """Change rows without a step, and without a message."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(update(self._table).where(*where).values(**values))

    def _mine(self) -> Select[Any]:
        return select(self._table).where(self._of_site)

    async def _found(self, statement: Prepared, about: str = "") -> list[R]:
        with failing("read"):
            rows = await read(
                self._engine, lambda sql: sql.rows(statement, {"about": about} if about else {})
            )
        return self._rows(rows)

    def _rows(self, rows: Sequence[Sequence[Any]]) -> list[R]:
        columns = self._table.columns.keys()
        return [self.plan.read(dict(zip(columns, row, strict=True))) for row in rows]

    async def _read(self, query: Select[Any]) -> list[R]:
        with failing("read"):
            async with self._engine.connect() as connection:
                return [self.plan.read(row) for row in (await connection.execute(query)).mappings()]

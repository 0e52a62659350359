"""The store's side of intervals: the data they are made from, and their revisions.

The stored calls are the source: a row can be summed again at any time, so a crash can lose no count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import ColumnElement, Select, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.callback.states import CallbackState
from callsteward.intervals.presence import Change
from callsteward.intervals.row import IntervalExpired, IntervalKind, IntervalRow
from callsteward.intervals.scope import Contact
from callsteward.intervals.slot import Known
from callsteward.record.call import Direction
from callsteward.store.changed_slots import LONGEST_CALL_MS, changed_again
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.stored import RECORD, readable, record_in
from callsteward.store.tables import (
    callback_transitions,
    callbacks,
    calls,
    interval_revisions,
    phone_states,
    watched,
)

# Records decoded at a time: a millisecond or two, and about 300 KB in each of the heaps they pass through. A
# heap keeps memory it once took: with 500 at a time the daemon grew by 8 MiB at the first interval's end.
_PAGE = 100
_ANY_TIME_MS = 2**62


class Revision(msgspec.Struct, frozen=True):
    """A row as it was last published."""

    revision: int
    final: bool
    digest: str


class Cursor(msgspec.Struct, frozen=True):
    """How far the store has been read for news: row ids of calls and of steps of callbacks."""

    call: int = 0
    step: int = 0


class IntervalStore:
    """The intervals of one site.

    Every method raises StoreError when the database fails; times are ms since 1970.
    """

    def __init__(self, engine: AsyncEngine, site: str, *, since_ms: int = 0) -> None:
        """`since_ms`: of the time before it records are deleted, and so nothing is known."""
        self.engine = engine
        self.site = site
        self._since_ms = since_ms
        # Made once: SQLAlchemy leaves such an expression behind in a cycle.
        self._call_of_site = _any_of(calls.c.site) == site
        self._callback_of_site = _any_of(callbacks.c.site) == site

    # --- what rows are made from --------------------------------------------------------------------

    async def known(self, from_ms: int, to_ms: int, operators: Iterable[str]) -> Known:
        """The store's knowledge of [from_ms, to_ms), all of it at once."""
        contacts = [contact async for page in self.contacts(from_ms, to_ms) for contact in page]
        spans = [span async for page in self.spans(from_ms, to_ms) for span in page]
        around = await self.around(from_ms, to_ms, operators)
        return msgspec.structs.replace(around, contacts=contacts, spans=spans)

    async def around(self, from_ms: int, to_ms: int, operators: Iterable[str]) -> Known:
        """The store's knowledge of [from_ms, to_ms) except its calls."""
        with failing("read"):
            async with self.engine.connect() as connection:
                seen = [
                    (row.from_ms, row.to_ms)
                    for row in await connection.execute(
                        select(watched.c.from_ms, watched.c.to_ms)
                        .where(
                            watched.c.site == self.site,
                            watched.c.to_ms > from_ms,
                            watched.c.from_ms < to_ms,
                        )
                        .order_by(watched.c.from_ms)
                    )
                ]
                since = await connection.scalar(
                    select(func.min(watched.c.from_ms)).where(watched.c.site == self.site)
                )
                presence = {
                    operator: await self._presence(connection, operator, from_ms, to_ms)
                    for operator in operators
                }
        if since is not None:
            since = max(since, self._since_ms)
        return Known(watched=self._known_of(seen), watched_since_ms=since, presence=presence)

    def _known_of(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(max(begins, self._since_ms), ends) for begins, ends in spans if ends > self._since_ms]

    async def contacts(
        self, from_ms: int, to_ms: int, unreadable: Callable[[int], None] = lambda _: None
    ) -> AsyncIterator[list[Contact]]:
        """The calls that arrived in [from_ms, to_ms), some at a time.

        `unreadable` gets the arrival of each call whose record cannot be read.

        So a busy interval's calls are never all in memory, and the loop that reads Asterisk's socket does not
        wait long. A call that is stored meanwhile may be missing: it is news.
        """
        after = (max(from_ms, self._since_ms), 0)
        while True:
            with failing("read"):
                async with self.engine.connect() as connection:
                    rows = (await connection.execute(self._calls_from(after, to_ms).limit(_PAGE))).all()
            records = [(row, readable(row.call_id, record_in(row))) for row in rows]
            for row, record in records:
                if record is None:
                    unreadable(row.at_ms)
            yield [
                Contact(record, None if row.state is None else CallbackState(row.state), row.at_ms)
                for row, record in records
                if record is not None
            ]
            if len(rows) < _PAGE:
                return
            after = (rows[-1].at_ms, rows[-1].id)

    async def spans(self, from_ms: int, to_ms: int) -> AsyncIterator[list[tuple[str, int, int]]]:
        """(line, from, to) of the calls that were on in [from_ms, to_ms), some at a time."""
        after = (max(from_ms - LONGEST_CALL_MS, self._since_ms), 0)
        while True:
            with failing("read"):
                async with self.engine.connect() as connection:
                    query = self._spans_from(after, from_ms, to_ms).limit(_PAGE)
                    rows = (await connection.execute(query)).all()
            until = [min(row.ended_at_ms, row.at_ms + LONGEST_CALL_MS) for row in rows]
            yield [
                (row.line, row.at_ms, end_ms)
                for row, end_ms in zip(rows, until, strict=True)
                if end_ms > from_ms
            ]
            if len(rows) < _PAGE:
                return
            after = (rows[-1].at_ms, rows[-1].id)

    def _calls_from(
        self, after: tuple[int, int], to_ms: int
    ) -> Select[tuple[int, str, str, bytes | None, int, str | None]]:
        return (
            select(
                calls.c.id,
                calls.c.call_id,
                *RECORD,
                calls.c.at_ms,
                callbacks.c.state,
            )
            .outerjoin(
                callbacks,
                (callbacks.c.site == calls.c.site) & (callbacks.c.origin_call_id == calls.c.call_id),
            )
            .where(
                self._call_of_site,
                calls.c.at_ms >= after[0],
                tuple_(calls.c.at_ms, calls.c.id) > after,
                calls.c.at_ms < to_ms,
                calls.c.direction != Direction.INTERNAL.value,
            )
            .order_by(calls.c.at_ms, calls.c.id)
        )

    def _spans_from(
        self, after: tuple[int, int], from_ms: int, to_ms: int
    ) -> Select[tuple[int, str, int, int]]:
        return (
            select(calls.c.id, calls.c.line, calls.c.at_ms, calls.c.ended_at_ms)
            .where(
                self._call_of_site,
                calls.c.at_ms >= after[0],
                tuple_(calls.c.at_ms, calls.c.id) > after,
                calls.c.at_ms < to_ms,
                calls.c.ended_at_ms > from_ms,
                calls.c.direction != Direction.INTERNAL.value,
            )
            .order_by(calls.c.at_ms, calls.c.id)
        )

    async def _presence(
        self, connection: AsyncConnection, operator: str, from_ms: int, to_ms: int
    ) -> list[Change]:
        mine = (phone_states.c.site == self.site, phone_states.c.operator == operator)
        columns = select(phone_states.c.at_ms, phone_states.c.state)
        # The last change before gives the state with which the span begins.
        before = columns.where(*mine, phone_states.c.at_ms <= from_ms)
        within = columns.where(*mine, phone_states.c.at_ms > from_ms, phone_states.c.at_ms < to_ms)
        newest = before.order_by(phone_states.c.at_ms.desc(), phone_states.c.id.desc()).limit(1)
        rows = [
            *await connection.execute(newest),
            *await connection.execute(within.order_by(phone_states.c.at_ms, phone_states.c.id)),
        ]
        return [Change(row.at_ms, row.state) for row in rows]

    async def phones(self) -> list[str]:
        """The operators whose phones were ever watched."""
        found: list[str] = []
        # One by one, each by the index: all distinct values would take a walk through all states.
        query = select(func.min(phone_states.c.operator)).where(phone_states.c.site == self.site)
        with failing("read"):
            async with self.engine.connect() as connection:
                while True:
                    after = phone_states.c.operator > (found[-1] if found else "")
                    name = await connection.scalar(query.where(after))
                    if name is None:
                        return found
                    found.append(name)

    async def names(self, from_ms: int, to_ms: int) -> tuple[list[str], list[str]]:
        """Lines that had calls in [from_ms, to_ms), and operators who served some."""
        where = (
            self._call_of_site,
            calls.c.at_ms >= max(from_ms, self._since_ms),
            calls.c.at_ms < to_ms,
            calls.c.direction != Direction.INTERNAL.value,
        )
        with failing("read"):
            async with self.engine.connect() as connection:
                lines = await connection.scalars(select(calls.c.line).where(*where).distinct())
                served = select(calls.c.operator).where(*where, calls.c.operator.is_not(None)).distinct()
                return list(lines), [name for name in await connection.scalars(served) if name is not None]

    # --- news -----------------------------------------------------------------------------------------

    async def newest(self) -> Cursor:
        """The end of the store at this moment."""
        with failing("read"):
            async with self.engine.connect() as connection:
                call = await connection.scalar(select(func.max(calls.c.id)))
                step = await connection.scalar(select(func.max(callback_transitions.c.id)))
        return Cursor(call or 0, step or 0)

    async def news(self, since: Cursor) -> tuple[Cursor, list[tuple[int, int]]]:
        """The new cursor, and (arrival, end) of the calls that were stored or whose callback moved."""
        columns = (calls.c.at_ms, calls.c.ended_at_ms)
        stored = select(calls.c.id, *columns).where(self._call_of_site, calls.c.id > since.call)
        moved = (
            select(callback_transitions.c.id, *columns)
            .join(callbacks, callbacks.c.id == callback_transitions.c.callback)
            .join(calls, (calls.c.site == callbacks.c.site) & (calls.c.call_id == callbacks.c.origin_call_id))
            .where(self._callback_of_site, callback_transitions.c.id > since.step)
        )
        with failing("read"):
            async with self.engine.connect() as connection:
                new_calls = (await connection.execute(stored)).all()
                new_steps = (await connection.execute(moved)).all()
        cursor = Cursor(
            max((row.id for row in new_calls), default=since.call),
            max((row.id for row in new_steps), default=since.step),
        )
        return cursor, [
            (row.at_ms, row.at_ms if row.ended_at_ms is None else row.ended_at_ms)
            for row in (*new_calls, *new_steps)
        ]

    # --- revisions ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction in which revisions are stored, together with their messages."""
        with failing("write to"):
            async with writing(self.engine) as connection:
                yield connection

    async def revisions(
        self, connection: AsyncConnection, start_ms: int, minutes: int
    ) -> dict[tuple[IntervalKind, str], Revision]:
        """The rows of an interval that were published, by kind and name."""
        found = await connection.execute(
            select(interval_revisions).where(
                interval_revisions.c.site == self.site,
                interval_revisions.c.start_ms == start_ms,
                interval_revisions.c.minutes == minutes,
            )
        )
        return {
            (IntervalKind(row.kind), row.name): Revision(row.revision, row.final, row.digest) for row in found
        }

    async def revise(self, connection: AsyncConnection, rows: Sequence[IntervalRow], at_ms: int) -> None:
        """Store rows that are about to be published."""
        if not rows:
            return
        statement = insert_into(self.engine, interval_revisions)
        changed = ("revision", "final", "digest", "changed_at_ms")
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["site", "start_ms", "kind", "name", "minutes"],
                set_={name: statement.excluded[name] for name in changed},
            ),
            [
                {
                    "site": row.site,
                    "kind": row.kind.value,
                    "name": row.name,
                    "start_ms": row.start_ms,
                    "minutes": row.minutes,
                    "revision": row.revision,
                    "final": row.final,
                    "digest": row.digest,
                    "changed_at_ms": at_ms,
                }
                for row in rows
            ],
        )

    async def published(self, from_ms: int, to_ms: int) -> list[IntervalExpired]:
        """The rows of intervals that began in [from_ms, to_ms)."""
        with failing("read"):
            async with self.engine.connect() as connection:
                found = await connection.execute(
                    select(
                        interval_revisions.c.kind, interval_revisions.c.name, interval_revisions.c.start_ms
                    ).where(
                        interval_revisions.c.site == self.site,
                        interval_revisions.c.start_ms >= from_ms,
                        interval_revisions.c.start_ms < to_ms,
                    )
                )
                return [IntervalExpired(IntervalKind(row.kind), row.name, row.start_ms) for row in found]

    async def unfinished(self, minutes: int) -> tuple[list[int], tuple[int, int] | None]:
        """Starts of published intervals that are not final; and the oldest and the newest of all, if any."""
        mine = (interval_revisions.c.site == self.site, interval_revisions.c.minutes == minutes)
        with failing("read"):
            async with self.engine.connect() as connection:
                open_ones = await connection.scalars(
                    select(interval_revisions.c.start_ms)
                    .where(*mine, interval_revisions.c.final.is_(False))
                    .distinct()
                    .order_by(interval_revisions.c.start_ms)
                )
                starts = interval_revisions.c.start_ms
                oldest, newest = (
                    await connection.execute(select(func.min(starts), func.max(starts)).where(*mine))
                ).one()
        return list(open_ones), None if oldest is None else (oldest, newest)

    async def forget(self, before_ms: int) -> None:
        """Delete revisions of intervals that began before; changes to those are now too late."""
        with failing("write to"):
            async with writing(self.engine) as connection:
                await connection.execute(
                    delete(interval_revisions).where(
                        interval_revisions.c.site == self.site, interval_revisions.c.start_ms < before_ms
                    )
                )

    # --- what was watched -----------------------------------------------------------------------------

    async def watch_from(self, at_ms: int, *, kept_since_ms: int | None) -> int:
        """The daemon receives events from now on; returns the id of the span.

        `kept_since_ms`: Asterisk has kept every event since then, so a span that lasted until then goes on.
        """
        with failing("write to"):
            async with writing(self.engine) as connection:
                if kept_since_ms is not None:
                    last = await connection.scalar(
                        select(watched.c.id)
                        .where(watched.c.site == self.site, watched.c.to_ms >= kept_since_ms)
                        .order_by(watched.c.to_ms.desc())
                        .limit(1)
                    )
                    if last is not None:
                        return int(last)
                values = {"site": self.site, "from_ms": at_ms, "to_ms": at_ms}
                row = await connection.execute(insert(watched).values(values).returning(watched.c.id))
                return int(row.scalar_one())

    async def watch_until(self, span: int, at_ms: int) -> None:
        """The span lasted at least until then."""
        with failing("write to"):
            async with writing(self.engine) as connection:
                # What was summed as not watched was watched, where Asterisk kept the events.
                before_ms = await connection.scalar(select(watched.c.to_ms).where(watched.c.id == span))
                if before_ms is not None and before_ms < at_ms:
                    await changed_again(connection, self.site, before_ms, at_ms)
                await connection.execute(
                    update(watched).where(watched.c.id == span, watched.c.to_ms < at_ms).values(to_ms=at_ms)
                )

    async def phone_changes(self, changes: Sequence[tuple[str, Change]]) -> None:
        """Store changes of the states of operators' phones."""
        if not changes:
            return
        with failing("write to"):
            async with writing(self.engine) as connection:
                await connection.execute(
                    insert(phone_states),
                    [
                        {
                            "site": self.site,
                            "operator": operator,
                            "at_ms": change.at_ms,
                            "state": change.state,
                        }
                        for operator, change in changes
                    ],
                )
                # A phone has its new state in every slot since.
                await changed_again(
                    connection, self.site, min(change.at_ms for _, change in changes), _ANY_TIME_MS
                )

    async def phone_states(self) -> dict[str, str | None]:
        """The last known state of each phone."""
        names = await self.phones()
        with failing("read"):
            async with self.engine.connect() as connection:
                # One by one, each by the index: a year has tens of millions of changes.
                return {name: await connection.scalar(self._newest_state(name)) for name in names}

    def _newest_state(self, operator: str) -> Select[tuple[str | None]]:
        mine = phone_states.c.site == self.site, phone_states.c.operator == operator
        newest = phone_states.c.at_ms.desc(), phone_states.c.id.desc()
        return select(phone_states.c.state).where(*mine).order_by(*newest).limit(1)


def _any_of(site: ColumnElement[str]) -> ColumnElement[str]:
    """A condition on a column of sites that uses no index.

    Without statistics SQLite takes `site = ?` for a rare value, and would go through every call ever stored
    instead of those of a quarter of an hour.
    """
    return site + ""

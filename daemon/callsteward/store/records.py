"""The stored call records: one row per call, written once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import msgspec
from sqlalchemy import Select, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.record.call import CallRecord, Outcome, encode, ms_of
from callsteward.record.facts import CallEnded
from callsteward.store.changed_slots import ChangedSlots, touched
from callsteward.store.claim import Claim
from callsteward.store.direct import Sql, write
from callsteward.store.engine import connect, failing, insert_into, writing
from callsteward.store.message import Announce, nobody
from callsteward.store.outbox import put_in
from callsteward.store.packed import pack
from callsteward.store.prepared import Prepared
from callsteward.store.stored import RECORD, all_readable, readable, record_in
from callsteward.store.tables import calls

_COLUMNS = tuple(column.name for column in calls.columns if column.name != "id")
# Records read at a time: a listing holds no transaction open while its reader pauses.
_PAGE = 500


class CallQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query for calls: those that started in [from_ms, to_ms), ms since 1970; None asks for all.

    A call whose start nobody saw is found by its end.
    """

    site: str | None = None
    line: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    outcome: Outcome | None = None
    limit: int | None = None


class Store:
    """The database of call records. Every method raises StoreError when the database fails.

    `announce` makes the messages about a record; they are stored in the record's transaction.
    `compress`: records are stored packed; None: in SQLite they are, in PostgreSQL not (see `StoreSettings`).
    """

    def __init__(
        self, engine: AsyncEngine, announce: Announce = nobody, *, compress: bool | None = None
    ) -> None:
        self._engine = engine
        self._announce = announce
        self._packs = engine.dialect.name == "sqlite" if compress is None else compress
        new = insert_into(engine, calls).on_conflict_do_nothing(index_elements=["site", "call_id"])
        self._changed = ChangedSlots(engine)
        self._insert = Prepared(new.returning(calls.c.site, calls.c.call_id), _COLUMNS)

    @classmethod
    async def open(
        cls,
        url: str,
        announce: Announce = nobody,
        *,
        create: bool = True,
        claim: Claim | None = None,
        compress: bool | None = None,
    ) -> Self:
        """The store at `url` (config key store.url), migrated where needed; see `connect`.

        `claim`: taken before anything is written.
        """
        if claim is None:
            return cls(await connect(url, create=create), announce, compress=compress)
        engine = await connect(url, create=create, first=claim.take, called=claim.called)
        return cls(engine, announce, compress=compress)

    async def save(self, records: Sequence[CallRecord]) -> list[CallRecord]:
        """Store records; returns the new ones in the order given. All are on disk when this returns.

        A call is stored once, by site and call_id, and its first record stays: after a restart or a replay
        the same call may come again.
        """
        if not records:
            return []
        first: dict[tuple[str, str], CallRecord] = {}
        for record in records:
            first.setdefault((record.site, record.call_id), record)
        now_ms = time.time_ns() // 1_000_000
        rows = [_row(record, now_ms, packs=self._packs) for record in first.values()]
        slots = {
            key: [
                (record.site, start_ms)
                for start_ms in touched(record.direction.value, row["at_ms"], row["ended_at_ms"])
            ]
            for (key, record), row in zip(first.items(), rows, strict=True)
        }
        # On the loop, where whoever announces has its other work; for a record that is there it is in vain.
        told = {key: self._announce(CallEnded(record), now_ms) for key, record in first.items()}
        dialect = self._engine.dialect.name

        def work(sql: Sql) -> set[tuple[str, str]]:
            stored = {(site, call_id) for site, call_id in sql.each(self._insert, rows)}
            messages = [message for key, of_call in told.items() if key in stored for message in of_call]
            put_in(sql, dialect, messages)
            self._changed.count(sql, [slot for key in stored for slot in slots[key]])
            return stored

        with failing("write to"):
            stored = await write(self._engine, work)
        return [record for key, record in first.items() if key in stored]

    async def calls(self, query: CallQuery) -> AsyncIterator[CallRecord]:
        """The calls that match, oldest first. Reads a page at a time: a year of calls needs no memory."""
        left = query.limit
        after: tuple[int, int] | None = None
        while left is None or left > 0:
            page = _PAGE if left is None else min(left, _PAGE)
            with failing("read"):
                async with self._engine.connect() as connection:
                    rows = (await connection.execute(_select(query, after).limit(page))).all()
            for record in all_readable((row.call_id, record_in(row)) for row in rows):
                yield record
            if len(rows) < page:
                return
            after = (rows[-1].at_ms, rows[-1].id)
            left = None if left is None else left - len(rows)

    async def stored(
        self, site: str, *, from_ms: int, to_ms: int, line: str | None = None
    ) -> AsyncIterator[tuple[int, CallRecord]]:
        """A site's calls in the order they were stored, with that time: those stored in [from_ms, to_ms).

        Unlike `calls` it goes by when a record was published, not by when its call began.
        """
        query = (
            select(calls.c.id, calls.c.stored_at_ms, calls.c.call_id, *RECORD)
            .order_by(calls.c.id)
            .limit(_PAGE)
        )
        query = query.where(calls.c.site == site, calls.c.stored_at_ms >= from_ms)
        query = query.where(calls.c.stored_at_ms < to_ms)
        if line is not None:
            query = query.where(calls.c.line == line)
        after = 0
        while True:
            with failing("read"):
                async with self._engine.connect() as connection:
                    rows = (await connection.execute(query.where(calls.c.id > after))).all()
            for row in rows:
                record = readable(row.call_id, record_in(row))
                if record is not None:
                    yield row.stored_at_ms, record
            if len(rows) < _PAGE:
                return
            after = rows[-1].id

    async def having(self, site: str, call_ids: Sequence[str]) -> set[str]:
        """Those of these calls whose records are here."""
        found: set[str] = set()
        for start in range(0, len(call_ids), _PAGE):
            some = call_ids[start : start + _PAGE]
            query = select(calls.c.call_id).where(calls.c.site == site, calls.c.call_id.in_(some))
            with failing("read"):
                async with self._engine.connect() as connection:
                    found.update((await connection.execute(query)).scalars())
        return found

    async def sites(self) -> list[str]:
        """The sites that have calls here, by name."""
        found: list[str] = []
        last = ""
        while True:
            # One step of the index for each site, however many calls each has.
            query = select(func.min(calls.c.site)).where(calls.c.site > last)
            with failing("read"):
                async with self._engine.connect() as connection:
                    following = (await connection.execute(query)).scalar_one_or_none()
            if following is None:
                return found
            found.append(following)
            last = following

    async def writable(self) -> None:
        """Return once a write has reached the disk, else raise StoreError."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                # A real write and commit that changes nothing.
                await connection.execute(text("UPDATE alembic_version SET version_num = version_num"))

    @property
    def engine(self) -> AsyncEngine:
        """The database itself, for the callback ledger, which is in the same one."""
        return self._engine

    async def close(self) -> None:
        await self._engine.dispose()


def _select(
    query: CallQuery, after: tuple[int, int] | None
) -> Select[tuple[int, int, str, str, bytes | None]]:
    statement = select(calls.c.at_ms, calls.c.id, calls.c.call_id, *RECORD).order_by(
        calls.c.at_ms, calls.c.id
    )
    if query.site is not None:
        # By the index on the time, as in the intervals: a site has most of the rows.
        statement = statement.where((calls.c.site + "") == query.site)
    if query.line is not None:
        statement = statement.where(calls.c.line == query.line)
    if query.from_ms is not None:
        statement = statement.where(calls.c.at_ms >= query.from_ms)
    if query.to_ms is not None:
        statement = statement.where(calls.c.at_ms < query.to_ms)
    if query.outcome is not None:
        statement = statement.where(calls.c.outcome == query.outcome.value)
    if after is not None:
        statement = statement.where(tuple_(calls.c.at_ms, calls.c.id) > after)
    return statement


def _row(record: CallRecord, now_ms: int, *, packs: bool) -> dict[str, Any]:
    line = encode(record)
    started = ms_of(record.started_at)
    ended = ms_of(record.ended_at)
    return {
        "site": record.site,
        "call_id": record.call_id,
        "line": record.line,
        "direction": record.direction.value,
        "outcome": record.outcome.value,
        "operator": record.operator,
        "client_ref": record.client_ref,
        "at_ms": next((ms for ms in (started, ended) if ms is not None), now_ms),
        "started_at_ms": started,
        "answered_at_ms": ms_of(record.answered_at),
        "ended_at_ms": ended,
        "complete": record.complete,
        "stored_at_ms": now_ms,
        "record": "" if packs else line.decode(),
        "packed": pack(line) if packs else None,
    }

"""The outbox's table: messages that must arrive, from the transaction that made them to their receipt.

`enqueue` is called inside that transaction, so a message is stored exactly when its cause is. `Outbox` reads
the messages back in that order, removes acknowledged ones, and drops the oldest if there are too many.
`feed.delivery` delivers them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

import msgspec
from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.store.direct import OfSqlAlchemy, Sql, along, flush, read, write
from callsteward.store.engine import failing, writing
from callsteward.store.message import Outgoing
from callsteward.store.prepared import Prepared
from callsteward.store.tables import outbox, outbox_drops

# Any constant will do: with the site's name it makes the advisory lock of a site's outbox.
_LOCK = 0x63736F62
# SQLite accepts no more than 32,766 parameters in a statement; far fewer keep it short.
_AT_ONCE = 500
# Drops closer together than this belong to one time that the outbox was full.
_SAME_DROP_MS = 600_000


_COLUMNS = tuple(column.name for column in outbox.columns if column.name != "id")
_ONE = ("site", "message_id")
_insert: dict[str, Prepared] = {
    "postgresql": Prepared(postgresql.insert(outbox).on_conflict_do_nothing(index_elements=_ONE), _COLUMNS),
    "sqlite": Prepared(sqlite.insert(outbox).on_conflict_do_nothing(index_elements=_ONE), _COLUMNS),
}
_replace = Prepared(
    delete(outbox).where(
        outbox.c.site == bindparam("of_site"), outbox.c.message_id == bindparam("of_message")
    )
)
_remove = Prepared(
    delete(outbox).where(
        outbox.c.site == bindparam("of_site"), outbox.c.message_id.in_(bindparam("names", expanding=True))
    )
)
_lock = Prepared(text(f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(:site))"))
_measure = Prepared(
    select(func.count(), func.coalesce(func.sum(outbox.c.size), 0), func.min(outbox.c.made_at_ms)).where(
        outbox.c.site == bindparam("of_site")
    )
)
# Written so that no index is used: with an index that begins with the site SQLite would sort all waiting
# messages for each page.
_after = Prepared(
    select(
        outbox.c.id,
        outbox.c.message_id,
        outbox.c.kind,
        outbox.c.topic,
        outbox.c.payload,
        outbox.c.retain,
        outbox.c.expire_s,
        outbox.c.made_at_ms,
    )
    .where((outbox.c.site + "") == bindparam("of_site"), outbox.c.id > bindparam("last"))
    .order_by(outbox.c.id)
    .limit(bindparam("most"))
)


class Stored(msgspec.Struct, frozen=True):
    """A waiting message. `id` rises in the order of enqueueing and is never used twice."""

    id: int
    message_id: str
    kind: str
    topic: str
    payload: bytes
    retain: bool
    expire_s: int | None
    made_at_ms: int


class OutboxSize(msgspec.Struct, frozen=True):
    """The size of the outbox: messages, bytes of their payloads, and when the oldest was made."""

    messages: int = 0
    size: int = 0
    oldest_ms: int | None = None


class Drop(msgspec.Struct, frozen=True):
    """A time that the outbox was full: how many messages it dropped, made from when to when."""

    at_ms: int
    messages: int
    from_ms: int
    to_ms: int


async def enqueue(connection: AsyncConnection, messages: Sequence[Outgoing]) -> int:
    """Put messages into the outbox, in the connection's transaction: they are there when it commits.

    A waiting message that one of them replaces is removed; returns how many were. It had no number yet, so a
    subscriber misses none; or it is being sent already, and goes out all the same.
    """
    if not messages:
        return 0
    return await connection.run_sync(
        lambda sync: put_in(OfSqlAlchemy(sync), connection.dialect.name, messages)
    )


def put_in(sql: Sql, dialect: str, messages: Sequence[Outgoing]) -> int:
    """The same in a piece of work (`store.direct`). `dialect`: the engine's name for it."""
    if not messages:
        return 0
    if dialect == "postgresql":
        # Ids are assigned before the commit: without this a later one could be visible before an earlier one.
        # (SQLite has one writer at a time.)
        for site in sorted({message.site for message in messages}):
            sql.rows(_lock, {"site": site})
    sql.many(_insert[dialect], [_row(message) for message in messages])
    return sum(
        sql.count(_replace, {"of_site": message.site, "of_message": message.replaces})
        for message in messages
        if message.replaces is not None
    )


class Outbox:
    """One site's outbox. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._mine: ColumnElement[bool] = outbox.c.site == site

    async def after(self, last: int, limit: int) -> list[Stored]:
        """The next messages after the one with id `last`, in order."""
        values = {"of_site": self._site, "last": last, "most": limit}
        with failing("read"):
            rows = await read(self._engine, lambda sql: sql.rows(_after, values))
        return [
            Stored(number, message_id, kind, topic, payload.encode(), bool(retain), expire_s, made_at_ms)
            for number, message_id, kind, topic, payload, retain, expire_s, made_at_ms in rows
        ]

    async def newest(self) -> int:
        """The id of the newest message, 0 if there is none."""
        query = select(func.coalesce(func.max(outbox.c.id), 0)).where(self._mine)
        with failing("read"):
            async with self._engine.connect() as connection:
                return int((await connection.execute(query)).scalar_one())

    async def remove(self, names: Sequence[str]) -> None:
        """Remove acknowledged messages, by message_id, in one transaction."""
        with failing("write to"):
            await write(self._engine, self._removal(names))

    def remove_along(self, names: Sequence[str], gone: Callable[[], None]) -> None:
        """Remove acknowledged messages in the next transaction, whatever it is for; `gone` is called then."""
        along(self._engine, self._removal(names), lambda _: gone())

    async def settle(self) -> None:
        """Make a transaction for what was to be removed along, where none has come."""
        with failing("write to"):
            await flush(self._engine)

    def _removal(self, names: Sequence[str]) -> Callable[[Sql], None]:
        def work(sql: Sql) -> None:
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                sql.count(_remove, {"of_site": self._site, "names": some})

        return work

    async def measure(self) -> OutboxSize:
        """The outbox's size at this moment."""
        with failing("read"):
            rows = await read(self._engine, lambda sql: sql.rows(_measure, {"of_site": self._site}))
        ((messages, size, oldest),) = rows
        return OutboxSize(messages, int(size), oldest)

    async def waiting(self) -> list[tuple[str, str, int]]:
        """How many messages wait, by kind and line."""
        query = select(outbox.c.kind, outbox.c.line, func.count()).where(self._mine)
        query = query.group_by(outbox.c.kind, outbox.c.line).order_by(outbox.c.kind, outbox.c.line)
        with failing("read"):
            async with self._engine.connect() as connection:
                return [(kind, line, count) for kind, line, count in await connection.execute(query)]

    async def oldest(self, size: int, *, spare: Collection[str] = ()) -> list[str]:
        """The oldest messages except those to `spare`, at least `size` bytes together, by message_id."""
        columns = (outbox.c.id, outbox.c.message_id, outbox.c.size)
        query = select(*columns).where(self._mine, outbox.c.id > bindparam("last"))
        query = query.order_by(outbox.c.id).limit(_AT_ONCE)
        names: list[str] = []
        last = 0
        with failing("read"):
            async with self._engine.connect() as connection:
                while size > 0 and (rows := (await connection.execute(query, {"last": last})).all()):
                    last = rows[-1].id
                    for row in rows:
                        if size <= 0:
                            break
                        if row.message_id not in spare:
                            size -= row.size
                            names.append(row.message_id)
        return names

    async def drop(self, names: Sequence[str]) -> None:
        """Remove messages that nobody will get, by message_id, and note that they were dropped."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                moments: list[int] = []
                for start in range(0, len(names), _AT_ONCE):
                    these = (self._mine, outbox.c.message_id.in_(names[start : start + _AT_ONCE]))
                    gone = await connection.execute(
                        delete(outbox).where(*these).returning(outbox.c.made_at_ms)
                    )
                    moments += [at_ms for (at_ms,) in gone]
                if moments:
                    await self._note_drop(connection, len(moments), min(moments), max(moments))

    async def drops(self, limit: int = 10) -> list[Drop]:
        """The last times messages were dropped, newest first."""
        query = select(outbox_drops).where(outbox_drops.c.site == self._site)
        query = query.order_by(outbox_drops.c.id.desc()).limit(limit)
        with failing("read"):
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        return [Drop(row.at_ms, row.messages, row.from_ms, row.to_ms) for row in rows]

    async def put(self, messages: Sequence[Outgoing]) -> None:
        """Enqueue in a transaction of its own: to send again what is stored elsewhere."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                await enqueue(connection, messages)

    async def _note_drop(self, connection: AsyncConnection, count: int, from_ms: int, to_ms: int) -> None:
        now_ms = time.time_ns() // 1_000_000
        mine = outbox_drops.c.site == self._site
        last = (
            await connection.execute(
                select(outbox_drops).where(mine).order_by(outbox_drops.c.id.desc()).limit(1)
            )
        ).one_or_none()
        if last is None or now_ms - last.at_ms > _SAME_DROP_MS:
            await connection.execute(
                insert(outbox_drops).values(
                    site=self._site, at_ms=now_ms, messages=count, from_ms=from_ms, to_ms=to_ms
                )
            )
            return
        await connection.execute(
            update(outbox_drops)
            .where(outbox_drops.c.id == last.id)
            .values(
                at_ms=now_ms,
                messages=last.messages + count,
                from_ms=min(from_ms, last.from_ms),
                to_ms=max(to_ms, last.to_ms),
            )
        )


def _row(message: Outgoing) -> dict[str, object]:
    return {
        "site": message.site,
        "message_id": message.message_id,
        "kind": message.kind,
        "line": message.line,
        "topic": message.topic,
        "retain": message.retain,
        "expire_s": message.expire_s,
        "made_at_ms": message.made_at_ms,
        "size": len(message.payload),
        "payload": message.payload.decode(),
    }

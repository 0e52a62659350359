"""Records are compressed in the order in which they were stored, a few at a time; how far is written down.

A migration cannot do it: ten million records take hours, and a daemon that starts would wait for them. A step
changes a few records in one short transaction and then pauses for several times as long, so that whoever
stores a call meanwhile waits for no more than one such step; broken off, the work goes on where it was. The
space is used for calls to come, as that of deleted records is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import structlog
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.store.direct import Sql, write
from callsteward.store.engine import failing, insert_into
from callsteward.store.packed import pack
from callsteward.store.prepared import Prepared
from callsteward.store.stored import PLAIN, PLAIN_LINE, packed_values
from callsteward.store.tables import calls, records_compressed

log = structlog.get_logger(__name__)

# Records compressed in one transaction, and the pause after it, in times of its length.
AT_ONCE = 50
REST = 4.0
# Rows that are looked through in one go where all of them are compressed.
_LOOKED_AT = 2_000
_SAID_EVERY_S = 60.0


class Compressed(msgspec.Struct, frozen=True):
    """How far the work is. `share` of the rows is looked through, `records` were compressed in `took_s`."""

    share: float
    records: int
    took_s: float

    @property
    def left_s(self) -> float | None:
        """The seconds that the rest takes at this speed; None at the beginning, when nobody knows."""
        return self.took_s * (1 - self.share) / self.share if self.share and self.took_s else None


class Compressor:
    """One site's. `rest`: see `REST`."""

    def __init__(self, engine: AsyncEngine, site: str, *, rest: float = REST) -> None:
        self._engine = engine
        self._site = site
        self._rest = rest
        values = packed_values(bindparam("now_packed"))
        if engine.dialect.name == "sqlite":
            # SQLite puts half-empty pages together where a row is deleted, not where it becomes smaller. With
            # its id written it is deleted and put back: else no page would become free.
            values["id"] = calls.c.id
        self._compress = Prepared(
            update(calls)
            # Not what was changed since it was read, when a client was erased: that one stays as it is.
            .where(calls.c.id == bindparam("of_id"), bindparam("of_line") == PLAIN_LINE)
            .values(values)
        )
        until = insert_into(engine, records_compressed).values(
            site=bindparam("site"), until_id=bindparam("until_id")
        )
        self._until = Prepared(
            until.on_conflict_do_update(index_elements=["site"], set_={"until_id": until.excluded.until_id})
        )

    async def work(self, say: Callable[[Compressed], None] = lambda _: None) -> Compressed:
        """Compress all records that are not yet. Raises StoreError when the database fails."""
        began_s = time.monotonic()
        first, last = await self._span()
        after, records = first, 0
        while after < last:
            step_s = time.monotonic()
            rows = await self._plain(after, min(after + _LOOKED_AT, last))
            packed = await asyncio.to_thread(_packed, rows)
            after = rows[-1][0] if len(rows) == AT_ONCE else min(after + _LOOKED_AT, last)
            if packed or after >= last:
                await self._store(packed, after)
            records += len(packed)
            took_s = time.monotonic() - began_s
            say(Compressed((after - first) / (last - first), records, took_s))
            await asyncio.sleep(self._rest * (time.monotonic() - step_s))
        return Compressed(1.0, records, time.monotonic() - began_s)

    async def _span(self) -> tuple[int, int]:
        """Until which row everything is compressed, and the last row."""
        with failing("read"):
            async with self._engine.connect() as connection:
                until = await connection.scalar(
                    select(records_compressed.c.until_id).where(records_compressed.c.site == self._site)
                )
                first = await connection.scalar(select(func.min(calls.c.id)))
                last = await connection.scalar(select(func.max(calls.c.id)))
        return max(until or 0, (first or 1) - 1), last or 0

    async def _plain(self, after: int, until: int) -> list[tuple[int, str]]:
        """Id and line of the next records in (after, until] that are not compressed."""
        query = (
            select(calls.c.id, PLAIN_LINE)
            # By the table's own order, not by an index on the site.
            .where((calls.c.site + "") == self._site, calls.c.id > after, calls.c.id <= until, PLAIN)
            .order_by(calls.c.id)
            .limit(AT_ONCE)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return [(row[0], row[1]) for row in await connection.execute(query)]

    async def _store(self, packed: list[dict[str, object]], until: int) -> None:
        place = {"site": self._site, "until_id": until}

        def work(sql: Sql) -> None:
            if packed:
                sql.many(self._compress, packed)
            sql.many(self._until, [place])

        with failing("write to"):
            await write(self._engine, work)


def _packed(rows: list[tuple[int, str]]) -> list[dict[str, object]]:
    return [{"of_id": key, "of_line": line, "now_packed": pack(line.encode())} for key, line in rows]


class SaidCompressed:
    """Says in the log how far the work is: nothing where nothing had to be compressed."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def step(self, now: Compressed) -> None:
        if now.records and time.monotonic() - self._said_s > _SAID_EVERY_S:
            self._said_s = time.monotonic()
            log.info(
                "old records are being compressed",
                action="records_compress",
                percent=round(100 * now.share, 1),
                records=now.records,
                minutes_left=None if now.left_s is None else round(now.left_s / 60),
            )

    def end(self, now: Compressed) -> None:
        if now.records:
            log.info(
                "compressed old records",
                action="records_compressed",
                records=now.records,
                took_s=round(now.took_s),
            )

"""The do-not-call list: clients who asked not to be called. Numbers are E.164 and stay in the ledger."""

from __future__ import annotations

import time
import types
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.store.direct import Sql, read
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.prepared import Prepared
from callsteward.store.tables import do_not_call

_HAS = Prepared(select(do_not_call.c.number).where(do_not_call.c.number == bindparam("number")))


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A number on the list: since when it is there, who put it there, and why."""

    number: str
    added_at_ms: int
    added_by: str
    comment: str


class DoNotCall:
    """The list. Every method raises StoreError when the database fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._insert = insert_into(engine, do_not_call).on_conflict_do_nothing(index_elements=["number"])

    async def add(
        self,
        numbers: Sequence[str],
        *,
        by: str,
        comment: str = "",
        comments: Mapping[str, str] = types.MappingProxyType({}),
    ) -> int:
        """Put E.164 numbers on the list, all or none. Returns how many were new; the others stay unchanged.

        `comments`: comments of single numbers, in place of `comment`.
        """
        if not numbers:
            return 0
        now_ms = time.time_ns() // 1_000_000
        rows = [
            {
                "number": number,
                "added_at_ms": now_ms,
                "added_by": by,
                "comment": comments.get(number, comment),
            }
            for number in dict.fromkeys(numbers)
        ]
        with failing("write to"):
            async with writing(self._engine) as connection:
                added = await connection.execute(self._insert.returning(do_not_call.c.number), rows)
                return len(added.all())

    async def remove(self, number: str) -> bool:
        """Take a number off the list. False if it was not on it."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                return bool(
                    (
                        await connection.execute(delete(do_not_call).where(do_not_call.c.number == number))
                    ).rowcount
                )

    async def has(self, number: str) -> bool:
        with failing("read"):
            return await read(self._engine, lambda sql: self.has_in(sql, number))

    def has_in(self, sql: Sql, number: str) -> bool:
        """The same in a piece of work (`store.direct`)."""
        return bool(sql.rows(_HAS, {"number": number}))

    async def listed(self) -> list[Listed]:
        """All numbers on the list, latest first."""
        query = select(do_not_call).order_by(do_not_call.c.added_at_ms.desc(), do_not_call.c.number)
        with failing("read"):
            async with self._engine.connect() as connection:
                return [Listed(**row) for row in (await connection.execute(query)).mappings()]

"""Old rows are deleted a few at a time, so that no writer waits for more than one such step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.store.engine import failing, writing

Along = Callable[[AsyncConnection, Sequence[int]], Awaitable[None]]


async def _nothing(_connection: AsyncConnection, _ids: Sequence[int]) -> None:
    """Nothing else goes with these rows."""


async def delete_in_steps(
    engine: AsyncEngine,
    table: Table,
    old: ColumnElement[bool],
    *,
    order: Sequence[ColumnElement[int]],
    at_once: int,
    rest: float,
    along: Along = _nothing,
) -> int:
    """Delete a table's old rows; how many there were. Raises StoreError.

    `at_once`: rows of one transaction; `rest`: the pause after it, in times of its length. `along` deletes
    what goes with rows, by their ids, in the same transaction.
    """
    some = select(table.c.id).where(old).order_by(*order).limit(at_once)
    count = 0
    while True:
        began_s = time.monotonic()
        with failing("write to"):
            async with writing(engine) as connection:
                ids = list(await connection.scalars(some))
                await along(connection, ids)
                await connection.execute(delete(table).where(table.c.id.in_(ids), old))
        count += len(ids)
        if len(ids) < at_once:
            return count
        await asyncio.sleep(rest * (time.monotonic() - began_s))

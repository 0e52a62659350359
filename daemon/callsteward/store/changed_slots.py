"""Which quarters of an hour have changed since their sums were made, written with the change itself.

Whoever changes something that interval rows are made from counts it here, in the same transaction: so stored
sums are never taken for those of records that came later, whenever a process ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, bindparam, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.clock import DAY_MS
from callsteward.record.call import Direction
from callsteward.store.direct import Sql
from callsteward.store.engine import insert_into
from callsteward.store.prepared import Prepared
from callsteward.store.tables import calls, slot_changes

SLOT_MS = 15 * 60_000
"""The shortest interval there is; longer ones are made of such. Aligned to UTC."""
# For this long after its arrival a call counts among the concurrent ones.
LONGEST_CALL_MS = DAY_MS

STALE: ColumnElement[bool] = or_(
    slot_changes.c.summed.is_(None), slot_changes.c.summed != slot_changes.c.changes
)
"""True for a slot whose sums are to be made; as the index has it."""


def slot_of(at_ms: int) -> int:
    """The start of the slot with this moment."""
    return at_ms // SLOT_MS * SLOT_MS


def touched(direction: str, at_ms: int, ended_at_ms: int | None) -> range:
    """The slots whose sums a call is in: that of its arrival, and those in which it was on."""
    if direction == Direction.INTERNAL.value:
        return range(0)
    last_ms = min(at_ms if ended_at_ms is None else ended_at_ms, at_ms + LONGEST_CALL_MS)
    return range(slot_of(at_ms), max(at_ms + 1, last_ms), SLOT_MS)


class ChangedSlots:
    """For any site of one database."""

    def __init__(self, engine: AsyncEngine) -> None:
        insert = insert_into(engine, slot_changes)
        once_more = {"changes": slot_changes.c.changes + 1}
        keys = ["site", "start_ms"]
        self._count = Prepared(
            insert.values(
                changes=1, site=bindparam("site"), start_ms=bindparam("start_ms")
            ).on_conflict_do_update(index_elements=keys, set_=once_more)
        )
        arrival = calls.c.at_ms - calls.c.at_ms % SLOT_MS
        self._of_call = insert.from_select(
            ["site", "start_ms", "changes"],
            select(calls.c.site, arrival, literal(1)).where(
                calls.c.site == bindparam("of_site"),
                calls.c.call_id == bindparam("of_call"),
                calls.c.direction != Direction.INTERNAL.value,
            ),
        ).on_conflict_do_update(index_elements=keys, set_=once_more)

    def count(self, sql: Sql, slots: Iterable[tuple[str, int]]) -> None:
        """Something changed in these slots: site and start."""
        # In one order, so that no two transactions wait for each other.
        values = [{"site": site, "start_ms": start_ms} for site, start_ms in sorted(set(slots))]
        if values:
            sql.many(self._count, values)

    async def count_call(self, connection: AsyncConnection, site: str, call_id: str) -> None:
        """A call's callback changed. A call that is not stored yet is counted when it is."""
        await connection.execute(self._of_call, {"of_site": site, "of_call": call_id})


async def changed_again(connection: AsyncConnection, site: str, from_ms: int, to_ms: int) -> None:
    """Something changed in [from_ms, to_ms) that the sums of these slots were made of, if they were made."""
    await connection.execute(
        update(slot_changes)
        .where(
            slot_changes.c.site == site,
            slot_changes.c.start_ms > from_ms - SLOT_MS,
            slot_changes.c.start_ms < to_ms,
            slot_changes.c.summed.is_not(None),
        )
        .values(changes=slot_changes.c.changes + 1)
    )

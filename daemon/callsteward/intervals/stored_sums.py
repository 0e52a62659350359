"""Sums in the database: which of them are those of the records, and how new ones are stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callsteward.clock import DAY_MS
from callsteward.intervals.slot_sums import (
    DAY_MINUTES,
    SLOT_MINUTES,
    OnlyPart,
    SlotSums,
    decoded,
    of_present_measures,
)
from callsteward.store.changed_slots import SLOT_MS, STALE
from callsteward.store.engine import failing, insert_into, writing
from callsteward.store.tables import calls, records_deleted, slot_changes, slot_sums, watched

_KEYS = ["site", "minutes", "start_ms"]
SLOTS_A_DAY = DAY_MS // SLOT_MS


class SumsAtHand(msgspec.Struct, kw_only=True):
    """The sums of a time that need no record to be read, by start. No slot is in both."""

    days: dict[int, SlotSums]
    slots: dict[int, SlotSums]

    def gaps(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
        """The parts of [from_ms, to_ms) that have no sums."""
        at_ms = from_ms
        ends = [(start, start + DAY_MS) for start in self.days]
        ends += [(start, start + SLOT_MS) for start in self.slots]
        for start, end in [*sorted(ends), (to_ms, to_ms)]:
            if at_ms < start:
                yield at_ms, start
            at_ms = end


class StoredSums:
    """Those of one site. Every method raises StoreError when the database fails; times are ms since 1970."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        self._engine = engine
        self._site = site
        self._mine = slot_sums.c.site == site
        self._my_change = slot_changes.c.site == site
        self._deleted = select(records_deleted.c.before_ms).where(records_deleted.c.site == site)

    # --- reading --------------------------------------------------------------------------------------

    async def records_since_ms(self) -> int:
        """Records of calls that arrived before then are deleted; 0 where none are."""
        with failing("read"):
            async with self._engine.connect() as connection:
                return await connection.scalar(self._deleted) or 0

    async def known_since_ms(self) -> int:
        """Of the time before then there are neither records nor sums; 0 where nothing was deleted."""
        before_ms = await self.records_since_ms()
        if not before_ms:
            return 0
        first = select(func.min(slot_sums.c.start_ms)).where(self._mine, slot_sums.c.minutes == SLOT_MINUTES)
        with failing("read"):
            async with self._engine.connect() as connection:
                oldest_ms = await connection.scalar(first)
        return before_ms if oldest_ms is None else min(before_ms, oldest_ms)

    async def kept(self, from_ms: int, to_ms: int, *, days: bool, only: OnlyPart | None = None) -> SumsAtHand:
        """The sums of [from_ms, to_ms) that are those of its records.

        `days`: of whole days where possible. `only`: see `decoded`. Where the records are deleted the
        sums are what was true before.
        """
        with failing("read"):
            async with self._engine.connect() as connection:
                before_ms = await connection.scalar(self._deleted) or 0
                good = {
                    row.start_ms: row.start_ms < before_ms or row.summed == row.changes
                    for row in await connection.execute(
                        select(slot_changes.c.start_ms, slot_changes.c.changes, slot_changes.c.summed).where(
                            self._my_change,
                            slot_changes.c.start_ms >= from_ms,
                            slot_changes.c.start_ms < to_ms,
                        )
                    )
                }
                found: dict[int, SlotSums] = {}
                if days:
                    found = await self._read(connection, DAY_MINUTES, from_ms, to_ms - DAY_MS + 1, only)
                whole = {
                    start: sums
                    for start, sums in found.items()
                    if all(good.get(slot, False) for slot in range(start, start + DAY_MS, SLOT_MS))
                    and _usable(sums, start, before_ms)
                }
                slots: dict[int, SlotSums] = {}
                begins = from_ms
                for start in [*sorted(whole), to_ms]:
                    if begins < start:
                        slots |= await self._read(connection, SLOT_MINUTES, begins, start, only)
                    begins = start + DAY_MS
        slots = {
            start: sums
            for start, sums in slots.items()
            if good.get(start, False) and _usable(sums, start, before_ms)
        }
        return SumsAtHand(days=whole, slots=slots)

    async def _read(
        self,
        connection: AsyncConnection,
        minutes: int,
        from_ms: int,
        to_ms: int,
        only: OnlyPart | None,
    ) -> dict[int, SlotSums]:
        rows = await connection.execute(
            select(slot_sums.c.start_ms, slot_sums.c.sums).where(
                self._mine,
                slot_sums.c.minutes == minutes,
                slot_sums.c.start_ms >= from_ms,
                slot_sums.c.start_ms < to_ms,
            )
        )
        return {row.start_ms: decoded(row.sums, only) for row in rows}

    async def stale(self, from_ms: int, to_ms: int, limit: int) -> list[int]:
        """The newest slots of [from_ms, to_ms) that changed and whose sums are not made."""
        query = (
            select(slot_changes.c.start_ms)
            .where(
                self._my_change, STALE, slot_changes.c.start_ms >= from_ms, slot_changes.c.start_ms < to_ms
            )
            .order_by(slot_changes.c.start_ms.desc())
            .limit(limit)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return list(await connection.scalars(query))

    async def good_by_day(self, from_ms: int) -> dict[int, int]:
        """How many slots of each day have their sums, by the day's start, of those from `from_ms` on."""
        day = slot_changes.c.start_ms - slot_changes.c.start_ms % DAY_MS
        query = (
            select(day, func.count())
            .where(self._my_change, ~STALE, slot_changes.c.start_ms >= from_ms)
            .group_by(day)
        )
        with failing("read"):
            async with self._engine.connect() as connection:
                return {row[0]: row[1] for row in await connection.execute(query)}

    async def summed_days(self) -> set[int]:
        """The days that have sums of their own."""
        query = select(slot_sums.c.start_ms).where(self._mine, slot_sums.c.minutes == DAY_MINUTES)
        with failing("read"):
            async with self._engine.connect() as connection:
                return set(await connection.scalars(query))

    async def first_ms(self) -> int | None:
        """When the site was first watched, or the first call arrived.

        The call may be another site's: so the index answers.
        """
        with failing("read"):
            async with self._engine.connect() as connection:
                firsts = [
                    await connection.scalar(select(func.min(calls.c.at_ms))),
                    await connection.scalar(
                        select(func.min(watched.c.from_ms)).where(watched.c.site == self._site)
                    ),
                ]
        return min((first for first in firsts if first is not None), default=None)

    # --- writing --------------------------------------------------------------------------------------

    async def begin(self, starts: Iterable[int]) -> dict[int, int]:
        """How often these slots have changed until now, to be given to `store` with their sums.

        From now on each change of theirs is counted. Those whose sums are good already are left out.
        """
        starts = list(starts)
        new = insert_into(self._engine, slot_changes).on_conflict_do_nothing(
            index_elements=["site", "start_ms"]
        )
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(
                    new, [{"site": self._site, "start_ms": start, "changes": 0} for start in starts]
                )
                found = await connection.execute(
                    select(slot_changes.c.start_ms, slot_changes.c.changes).where(
                        self._my_change,
                        STALE,
                        slot_changes.c.start_ms >= starts[0],
                        slot_changes.c.start_ms <= starts[-1],
                    )
                )
                return {row.start_ms: row.changes for row in found}

    async def store(self, made: Mapping[int, SlotSums], changes: Mapping[int, int]) -> int:
        """Store the sums of slots that have not changed since `begin`; how many these were."""
        stored = 0
        with failing("write to"):
            async with writing(self._engine) as connection:
                before_ms = await connection.scalar(self._deleted) or 0
                for start, sums in sorted(made.items()):
                    # Records that the sums were made of may have been deleted while they were read.
                    if start < before_ms:
                        continue
                    unchanged = await connection.execute(
                        update(slot_changes)
                        .where(
                            self._my_change,
                            slot_changes.c.start_ms == start,
                            slot_changes.c.changes == changes[start],
                        )
                        .values(summed=changes[start])
                    )
                    if unchanged.rowcount:
                        await self._put(connection, SLOT_MINUTES, start, sums)
                        stored += 1
                days = {start - start % DAY_MS for start in made}
                await connection.execute(
                    delete(slot_sums).where(
                        self._mine, slot_sums.c.minutes == DAY_MINUTES, slot_sums.c.start_ms.in_(sorted(days))
                    )
                )
        return stored

    async def store_day(self, start_ms: int, sums: SlotSums) -> None:
        """Store a day's sums, taken for those of its slots until one of these is stored again."""
        with failing("write to"):
            async with writing(self._engine) as connection:
                await self._put(connection, DAY_MINUTES, start_ms, sums)

    async def doubt(self) -> None:
        """Have all sums made again whose records are there."""
        since_ms = await self.records_since_ms()
        with failing("write to"):
            async with writing(self._engine) as connection:
                await connection.execute(
                    update(slot_changes)
                    .where(self._my_change, slot_changes.c.start_ms >= since_ms)
                    .values(changes=slot_changes.c.changes + 1)
                )

    async def _put(self, connection: AsyncConnection, minutes: int, start_ms: int, sums: SlotSums) -> None:
        statement = insert_into(self._engine, slot_sums).values(
            site=self._site, minutes=minutes, start_ms=start_ms, sums=sums.encoded()
        )
        await connection.execute(
            statement.on_conflict_do_update(index_elements=_KEYS, set_={"sums": statement.excluded.sums})
        )


def _usable(sums: SlotSums, start_ms: int, before_ms: int) -> bool:
    """Sums that lack something are of use where no record is left that would have it."""
    return start_ms < before_ms or (not sums.unreadable and of_present_measures(sums))

"""Making sums from the records, keeping them, and reading a time's sums with as few records as possible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from callsteward.clock import DAY_MS
from callsteward.intervals.grid import slot_of as slot_of_length
from callsteward.intervals.slot_sums import DAY_MINUTES, OnlyPart, SlotSumming, SlotSums, merged
from callsteward.intervals.store import IntervalStore
from callsteward.intervals.stored_sums import SLOTS_A_DAY, StoredSums
from callsteward.store.changed_slots import SLOT_MS, slot_of

Given = TypeVar("Given")
Page = TypeVar("Page")


class SumsKeeper:
    """The sums of one site. Every method raises StoreError when the database fails.

    `rest`: for a process that has other work. After each page of records there is a pause of this many times
    what the page took, and records are summed in a thread.
    """

    def __init__(self, engine: AsyncEngine, site: str, *, rest: float = 0.0) -> None:
        self._engine = engine
        self._site = site
        self._rest = rest
        self.stored = StoredSums(engine, site)
        self.took_s = 0.0
        """The seconds of processor time that sums have taken until now."""

    # --- reading --------------------------------------------------------------------------------------

    async def parts(
        self, from_ms: int, to_ms: int, *, days: bool, only: OnlyPart | None = None
    ) -> AsyncIterator[tuple[int, SlotSums]]:
        """The sums of all parts of [from_ms, to_ms), with their starts, in order of time.

        A part is a slot, or a whole day if `days`; of a time without records and sums there is none. Both
        moments are of the slots' grid. `only`: a part of the sums that is enough (more may come).
        """
        kept = await self.stored.kept(from_ms, to_ms, days=days, only=only)
        since_ms = await self.stored.records_since_ms()
        parts = {**kept.days, **kept.slots}
        gaps = dict(kept.gaps(from_ms, to_ms))
        for at_ms in sorted({*parts, *gaps}):
            if at_ms in parts:
                yield at_ms, parts[at_ms]
                continue
            for begins, ends in _chunks(max(at_ms, since_ms), gaps[at_ms]):
                for made in sorted((await self.made(begins, ends)).items()):
                    yield made

    async def names(self, from_ms: int, to_ms: int) -> tuple[list[str], list[str]]:
        """The lines that had calls in [from_ms, to_ms), and the operators who served some."""
        kept = await self.stored.kept(from_ms, to_ms, days=True)
        source = IntervalStore(self._engine, self._site, since_ms=await self.stored.records_since_ms())
        lines: set[str] = set()
        served: set[str] = set()
        for sums in (*kept.days.values(), *kept.slots.values()):
            lines.update(sums.lines)
            served.update(sums.served)
        for begins, ends in kept.gaps(from_ms, to_ms):
            more_lines, more_served = await source.names(begins, ends)
            lines.update(more_lines)
            served.update(more_served)
        return sorted(lines), sorted(served)

    async def made(self, from_ms: int, to_ms: int) -> dict[int, SlotSums]:
        """The sums of each slot of [from_ms, to_ms), made from the records."""
        source = IntervalStore(self._engine, self._site, since_ms=await self.stored.records_since_ms())
        slots = {start: SlotSumming(start, start + SLOT_MS) for start in range(from_ms, to_ms, SLOT_MS)}

        def unreadable(at_ms: int) -> None:
            slots[slot_of(at_ms)].unreadable = True

        async for contacts in self._resting(source.contacts(from_ms, to_ms, unreadable)):
            for start in dict.fromkeys(slot_of(contact.at_ms) for contact in contacts):
                mine = [contact for contact in contacts if slot_of(contact.at_ms) == start]
                await self._work(slots[start].take, mine)
        async for spans in self._resting(source.spans(from_ms, to_ms)):
            for line, begins, ends in spans:
                first = max(slot_of(begins), from_ms)
                for start in range(first, min(max(ends, begins + 1), to_ms), SLOT_MS):
                    slots[start].take_span(line, begins, ends)
        around = await source.around(from_ms, to_ms, await source.phones())
        for slot in slots.values():
            await self._work(slot.take_presence, around)
        return {start: slot.sums() for start, slot in slots.items()}

    async def _work(self, work: Callable[[Given], None], given: Given) -> None:
        def timed() -> float:
            began_s = time.thread_time()
            work(given)
            return time.thread_time() - began_s

        # Some milliseconds each time: not on the loop that reads Asterisk's socket.
        self.took_s += await asyncio.to_thread(timed) if self._rest else timed()

    async def _resting(self, pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
        began_s = time.monotonic()
        async for page in pages:
            yield page
            if self._rest:
                await asyncio.sleep(self._rest * (time.monotonic() - began_s))
            began_s = time.monotonic()

    # --- keeping --------------------------------------------------------------------------------------

    async def keep(self, from_ms: int, to_ms: int) -> None:
        """Make and store what is not good in [from_ms, to_ms), at most a day, all of which is over."""
        from_ms = max(from_ms, await self.stored.records_since_ms())
        if from_ms >= to_ms:
            return
        changes = await self.stored.begin(range(from_ms, to_ms, SLOT_MS))
        if not changes:
            return
        begins, ends = min(changes), max(changes) + SLOT_MS
        made = await self.made(begins, ends)
        await self.stored.store({start: made[start] for start in changes}, changes)

    async def sums(self, from_ms: int, to_ms: int) -> SlotSums:
        """The sums of [from_ms, to_ms), at most a day, all of which is over. What had to be made is kept."""
        await self.keep(from_ms, to_ms)
        return merged([sums async for _, sums in self.parts(from_ms, to_ms, days=False)])

    async def keep_day(self, day_ms: int) -> None:
        """Make and store what is missing of a day that is over, and the sums of it as a whole."""
        await self.keep(day_ms, day_ms + DAY_MS)
        kept = await self.stored.kept(day_ms, day_ms + DAY_MS, days=False)
        if len(kept.slots) == SLOTS_A_DAY:
            await self.stored.store_day(day_ms, merged(kept.slots.values()))

    async def missing(self, until_ms: int) -> list[int]:
        """The days before `until_ms` of which something is missing, the newest first."""
        first_ms = await self.stored.first_ms()
        if first_ms is None:
            return []
        since_ms = max(await self.stored.records_since_ms(), slot_of_length(first_ms, DAY_MINUTES))
        good, whole = await self.stored.good_by_day(since_ms), await self.stored.summed_days()
        days = range(slot_of_length(since_ms, DAY_MINUTES), until_ms - DAY_MS + 1, DAY_MS)
        return [
            day
            for day in reversed(days)
            if good.get(day, 0) < (day + DAY_MS - max(day, since_ms)) // SLOT_MS
            or (day >= since_ms and day not in whole)
        ]

    async def complete(
        self, until_ms: int, step: Callable[[int, int], None] = lambda _done, _of: None
    ) -> None:
        """Make everything that is missing before `until_ms`. `step` is told how many days of how many."""
        days = await self.missing(until_ms)
        for number, day_ms in enumerate(days):
            step(number, len(days))
            await self.keep_day(day_ms)
        step(len(days), len(days))
        await self.keep(slot_of_length(until_ms, DAY_MINUTES), slot_of(until_ms))


def _chunks(from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
    """[from_ms, to_ms) in parts of a day at most."""
    for begins in range(from_ms, to_ms, DAY_MS):
        yield begins, min(begins + DAY_MS, to_ms)

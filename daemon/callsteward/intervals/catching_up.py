"""Sums that are not made yet, made beside the daemon's other work: late changes, the time before an upgrade.

The publisher makes those of the intervals that are just over. Here is what is left, the newest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from callsteward.clock import HOUR_MS
from callsteward.exceptions import StoreError
from callsteward.intervals.keeping import SumsKeeper
from callsteward.store.changed_slots import SLOT_MS, slot_of

log = structlog.get_logger(__name__)

EVERY_S = 60.0
# Pauses of this many times what a page of records took: a tenth of a core at most.
REST = 9.0
# What is younger is still changed by every call that ends.
YOUNG_MS = HOUR_MS
# Slots that changed late, at a time.
_AT_ONCE = 100


class CatchingUp:
    """One site's. `now_ms` is Asterisk's clock."""

    def __init__(self, keeper: SumsKeeper, now_ms: Callable[[], int]) -> None:
        self._keeper = keeper
        self._now_ms = now_ms
        self._days: list[int] | None = None
        self._looked_ms = 0

    async def run(self) -> None:
        """Work until cancelled. A store that fails is tried again."""
        while True:
            more = False
            try:
                more = await self.step()
            except StoreError as error:
                log.warning("sums wait for the store", action="sums_store", error=str(error))
            await asyncio.sleep(0 if more else EVERY_S)

    async def step(self) -> bool:
        """Make some of what is missing; whether there is more. Raises StoreError."""
        now_ms = self._now_ms()
        since_ms = await self._keeper.stored.records_since_ms()
        stale = await self._keeper.stored.stale(since_ms, slot_of(now_ms - YOUNG_MS), _AT_ONCE)
        for start_ms in stale:
            await self._keeper.keep(start_ms, start_ms + SLOT_MS)
        if self._days is None or now_ms - self._looked_ms > HOUR_MS:
            self._days = await self._keeper.missing(now_ms - YOUNG_MS)
            self._looked_ms = now_ms
            if self._days:
                log.info("days without sums are summed", action="sums_missing", days=len(self._days))
        if self._days:
            day_ms = self._days[0]
            await self._keeper.keep_day(day_ms)
            del self._days[0]
        return bool(self._days) or len(stale) == _AT_ONCE

"""Counts of how trunks write numbers: from the tracker into the store, once a minute.

For `check` only: a kill loses the last minute's counts.
"""

from __future__ import annotations

import asyncio

import structlog

from callsteward.calls.deliveries import Delivered
from callsteward.calls.tracker import Tracker
from callsteward.exceptions import StoreError
from callsteward.stream.trunk_numbers import TrunkNumberCounts

log = structlog.get_logger(__name__)

KEEP_EVERY_S = 60.0
# A stop waits no longer than this.
_STOP_S = 0.3


class DeliveryCounts:
    """Moves the tracker's counts into the store."""

    def __init__(self, tracker: Tracker, store: TrunkNumberCounts) -> None:
        self._tracker = tracker
        self._store = store
        self._waiting: dict[tuple[str, str], int] = {}
        self._failing = False

    def forget(self) -> None:
        """Drop counts made while the journal was re-run: the process that wrote it counted them already."""
        self._tracker.take_deliveries()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self.keep()

    async def keep(self) -> None:
        """Store the counts; if that fails they wait for the next time."""
        if not self._waiting:
            # While the store fails the tracker goes on counting: for a bounded number of trunks.
            for trunk, kind, calls in self._tracker.take_deliveries():
                self._waiting[trunk, kind] = calls
        if not self._waiting:
            return
        rows = [Delivered(trunk, kind, calls) for (trunk, kind), calls in self._waiting.items()]
        try:
            await self._store.add(rows)
        except StoreError as error:
            if not self._failing:
                log.warning(
                    "counts of number formats wait for the store", action="kinds_unstored", error=str(error)
                )
            self._failing = True
        else:
            self._waiting.clear()
            self._failing = False

    async def last(self) -> None:
        """Store the last counts when the daemon stops."""
        try:
            async with asyncio.timeout(_STOP_S):
                await self.keep()
        except TimeoutError:
            log.warning("stopping without the last counts of number formats", action="kinds_unstored")

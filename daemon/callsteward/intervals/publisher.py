"""Publishes each interval when it is over, and again when anything in it changed.

Everything is summed from the stored calls, and these sums are kept until something in them changes. The store
keeps the digest of the last published row, and its revision: a restart neither repeats a row nor goes back to
a lower revision.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from callsteward.clock import HOUR_MS
from callsteward.exceptions import StoreError
from callsteward.intervals import grid
from callsteward.intervals.grid import MINUTE_MS
from callsteward.intervals.keeping import SumsKeeper
from callsteward.intervals.observed import Observed
from callsteward.intervals.row import IntervalExpired, IntervalKind, IntervalRow
from callsteward.intervals.slot import Known, Scheme, rows_of_sums
from callsteward.intervals.slot_sums import SlotSums
from callsteward.intervals.store import Cursor, IntervalStore

log = structlog.get_logger(__name__)

EVERY_S = 5.0
# Wait for the last events of an interval to come through: of its end, and of a link that was just made.
SETTLE_MS = 2_000
LINK_SETTLES_MS = 30_000
# Looked at again on a start: calls that the previous process stored and did not publish.
LOOK_BACK_MS = 48 * 60 * MINUTE_MS
# Revisions are forgotten after this time; a record that comes even later revises nothing.
KEPT_MS = 35 * 24 * 60 * MINUTE_MS
# An interval is summed again only after this many times the duration of its last sum: 2 % of a core. A
# shorter duration is not worth the wait.
REST = 50
QUICK_S = 0.05
# Between two pages of its calls, a pause of this many times the page's duration: 20,000 calls summed in one
# go held up for a minute everything that uses the same interpreter and the same database.
PAUSE = 2
# Intervals summed between two looks at the clock: after a long pause there are many.
AT_ONCE = 50

Argument = TypeVar("Argument")
Made = TypeVar("Made")


class Open(NamedTuple):
    """The calls that may still change an interval.

    `since_ms`: when the oldest call that is on began, None if none is on. `settled`: whether every event
    received so far has its results in the store.
    """

    since_ms: int | None
    settled: bool


Enqueue = Callable[[AsyncConnection, Sequence[IntervalRow], int], Awaitable[None]]
"""Takes revisions and when they were made, ms since 1970."""


class Publisher:
    """The publisher of one site. `publish` gets each new revision, in order of time.

    `publish` must neither wait nor fail. `enqueue` gets the revisions before that, in the transaction that
    stores them.
    """

    def __init__(
        self,
        scheme: Scheme,
        store: IntervalStore,
        observed: Observed,
        *,
        now_ms: Callable[[], int],
        still_open: Callable[[], Open],
        publish: Callable[[IntervalRow | IntervalExpired], None],
        enqueue: Enqueue,
        expire_s: int = 48 * 3600,
        every_s: float | None = None,
    ) -> None:
        self._scheme = scheme
        self._store = store
        self._sums = SumsKeeper(store.engine, store.site, rest=PAUSE)
        self._observed = observed
        self._now_ms = now_ms
        self._still_open = still_open
        self._publish = publish
        self._enqueue = enqueue
        self._expire_ms = expire_s * 1000
        self._every_s = EVERY_S if every_s is None else every_s
        self._length_ms = scheme.minutes * MINUTE_MS
        self._cursor: Cursor | None = None
        self._next_ms = 0
        # Starts of intervals to be summed, and of those that are published and not final.
        self._changed: set[int] = set()
        self._unfinished: set[int] = set()
        # Until when an interval that takes long to sum is left alone (time.monotonic()).
        self._resting: dict[int, float] = {}
        self._forgot_ms = 0
        self._expired_ms = 0

    async def run(self) -> None:
        """Work until cancelled. A store that fails is tried again."""
        while True:
            try:
                if self._cursor is None:
                    await self.load()
                await self.step()
            except StoreError as error:
                log.error("intervals wait for the store", action="intervals_store", error=str(error))  # noqa: TRY400
            await asyncio.sleep(self._every_s)

    async def load(self) -> None:
        """Continue from what an earlier process left. Raises StoreError."""
        now_ms = self._now_ms()
        await self._observed.load()
        cursor = await self._store.newest()
        unfinished, published = await self._store.unfinished(self._scheme.minutes)
        self._unfinished = set(unfinished)
        # The very first time begins with this interval: of earlier ones, too little is known.
        self._next_ms = grid.slot_of(now_ms, self._scheme.minutes)
        if published is not None:
            oldest_ms, newest_ms = published
            self._next_ms = max(newest_ms + self._length_ms, now_ms - KEPT_MS)
            self._next_ms = grid.slot_of(self._next_ms, self._scheme.minutes)
            back_ms = max(now_ms - LOOK_BACK_MS, oldest_ms)
            self._changed = set(grid.slots(back_ms, self._next_ms, self._scheme.minutes))
        # Intervals that expired while the daemon was down, for two days at most.
        self._expired_ms = now_ms - self._expire_ms - LOOK_BACK_MS
        self._cursor = cursor

    async def step(self) -> None:
        """Publish new rows and revisions. Raises StoreError."""
        now_ms = self._now_ms()
        await self._observed.step(now_ms)
        await self._read_news(now_ms)
        over_ms = now_ms - SETTLE_MS
        while self._next_ms + self._length_ms <= over_ms:
            self._changed.add(self._next_ms)
            self._next_ms += self._length_ms
        # Before the calls are read: a call that ends meanwhile is then still open here.
        final_before_ms = self._final_before_ms(now_ms)
        due = {start for start in self._changed if start + self._length_ms <= over_ms}
        due |= {start for start in self._unfinished if start + self._length_ms <= final_before_ms}
        if due:
            await self._observed.mark(now_ms)
        for start_ms in self._rested(due)[:AT_ONCE]:
            took_s = await self._sum(start_ms, final_before_ms, now_ms)
            self._changed.discard(start_ms)
            if took_s > QUICK_S:
                self._resting[start_ms] = time.monotonic() + REST * took_s
        await self._expire(now_ms)
        if now_ms - self._forgot_ms > HOUR_MS:
            await self._store.forget(now_ms - KEPT_MS)
            self._forgot_ms = now_ms

    def _rested(self, due: Collection[int]) -> list[int]:
        now_s = time.monotonic()
        for start_ms in [start for start, until_s in self._resting.items() if until_s <= now_s]:
            del self._resting[start_ms]
        return sorted(start for start in due if start not in self._resting)

    async def _read_news(self, now_ms: int) -> None:
        assert self._cursor is not None
        cursor, calls = await self._store.news(self._cursor)
        for arrived_ms, ended_ms in calls:
            # It counts in the interval of its arrival, and as a concurrent call in each interval it was on
            # in.
            touched = grid.slots(arrived_ms, max(arrived_ms, ended_ms) + 1, self._scheme.minutes)
            self._changed.update(
                start for start in touched[: LOOK_BACK_MS // self._length_ms] if start > now_ms - KEPT_MS
            )
        self._cursor = cursor

    def _final_before_ms(self, now_ms: int) -> int:
        """The moment before which no call can have begun that is not stored yet."""
        still = self._still_open()
        linked_ms = self._observed.linked_since_ms
        if not still.settled or linked_ms is None or now_ms - linked_ms < LINK_SETTLES_MS:
            return 0
        quiet_ms = now_ms - SETTLE_MS
        return quiet_ms if still.since_ms is None else min(still.since_ms, quiet_ms)

    async def _expire(self, now_ms: int) -> None:
        until_ms = grid.slot_of(now_ms - self._expire_ms, self._scheme.minutes)
        if until_ms <= self._expired_ms:
            return
        for expired in await self._store.published(self._expired_ms, until_ms):
            self._publish(expired)
        self._expired_ms = until_ms

    def _rows(self, start_ms: int, sums: SlotSums, around: Known) -> list[IntervalRow]:
        return [
            row for kind in IntervalKind for row in rows_of_sums(self._scheme, kind, start_ms, sums, around)
        ]

    async def _sum(self, start_ms: int, final_before_ms: int, now_ms: int) -> float:
        """Sum and publish; returns the seconds of processor time that the sums took."""
        end_ms = start_ms + self._length_ms
        took_s = self._sums.took_s
        sums = await self._sums.sums(start_ms, end_ms)
        around = await self._store.around(start_ms, end_ms, ())
        rows, rows_s = await asyncio.to_thread(
            _timed, lambda known: self._rows(start_ms, sums, known), around
        )
        final = end_ms <= final_before_ms and not sums.waits
        revised = await self._revise(rows, final=final, now_ms=now_ms)
        for row in revised:
            self._publish(row)
        if final:
            self._unfinished.discard(start_ms)
        elif revised:
            self._unfinished.add(start_ms)
        return self._sums.took_s - took_s + rows_s

    async def _revise(self, rows: Sequence[IntervalRow], *, final: bool, now_ms: int) -> list[IntervalRow]:
        """The rows that differ from the last published ones, with their new revision, which is on disk.

        A final row stays final until it changes: after a restart no row is final for a while.
        """
        revised: list[IntervalRow] = []
        async with self._store.writing() as connection:
            start_ms, minutes = rows[0].start_ms, rows[0].minutes
            before = await self._store.revisions(connection, start_ms, minutes)
            for row in rows:
                last = before.get((row.kind, row.name))
                if last is not None and last.digest == row.digest and (last.final or not final):
                    continue
                revision = 1 if last is None else last.revision + 1
                revised.append(msgspec.structs.replace(row, revision=revision, final=final))
            await self._store.revise(connection, revised, now_ms)
            await self._enqueue(connection, revised, now_ms)
        return revised


def _timed(work: Callable[[Argument], Made], given: Argument) -> tuple[Made, float]:
    began = time.thread_time()
    made = work(given)
    return made, time.thread_time() - began

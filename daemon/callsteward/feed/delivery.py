"""Delivery from the outbox: what waits on disk is handed to the feed, what the broker has is taken away.

The disk is the only source, so nothing is sent that is not there, and what a crash left is sent by the next
process. A message is taken up once its maker has `released` it, which comes after the commit and after the
call events that belong before it; one that nobody released (an earlier process made it, or the command
line) is taken up when it has waited a moment. Only some are held in memory: a broker that is away costs
disk, and never the reader of events.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import StrEnum
from typing import Protocol

import structlog

from callsteward.ari.backoff import Backoff
from callsteward.exceptions import StoreError
from callsteward.store.outbox import Measure, Outbox, Stored

log = structlog.get_logger("callsteward.feed")

# Messages read at a time.
PAGE = 250
# Other processes (the command line) put messages in and cannot wake this one.
LOOK_EVERY_S = 1.0
# A maker in this process releases its message within milliseconds of the commit.
UNRELEASED_MS = 2_000
# Acknowledgements that come together are one transaction.
GATHER_S = 0.05
MEASURE_EVERY_S = 5.0
# Shares of the limit: from where it is said that the outbox fills, below which it is in order again, and
# what is left when it had to drop.
FILLING, IN_ORDER, AFTER_DROP = 0.8, 0.7, 0.95


class Level(StrEnum):
    """How full the outbox is."""

    NORMAL = "normal"
    FILLING = "filling"
    DROPPING = "dropping"


def level(before: Level, size: int, limit: int) -> Level:
    """The level at `size` bytes. Nothing is dropped before it was said once that the outbox fills."""
    if size > limit and before is not Level.NORMAL:
        return Level.DROPPING
    if size >= FILLING * limit:
        return Level.FILLING if before is Level.NORMAL else before
    return before if size >= IN_ORDER * limit else Level.NORMAL


class Sink(Protocol):
    """Who sends: the feed. None of these waits or fails."""

    def room(self) -> int:
        """How many more messages it takes now."""
        ...

    def take(self, message: Stored) -> None:
        """Send this one after all those taken before."""
        ...

    def on_the_way(self) -> Collection[int]:
        """What is being sent at this moment, by id."""
        ...

    def dropped(self, ids: Sequence[int]) -> None:
        """These are given up."""
        ...

    def caught_up(self) -> None:
        """Everything there is has been taken."""
        ...

    def filled(self, now: Level, measure: Measure, limit: int) -> None:
        """The level has changed. `limit`: bytes."""
        ...


class Delivery:
    """Reads one site's outbox for the feed. `release`, `go_on` and `sent` neither wait nor fail."""

    def __init__(self, outbox: Outbox, *, limit_bytes: int) -> None:
        self._outbox = outbox
        self._limit_bytes = limit_bytes
        # The last one taken up; what was released and is not taken up yet, and when.
        self._last = 0
        self._released: dict[str, float] = {}
        self._sent: list[int] = []
        self._news = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._measured_s = float("-inf")
        self._full = False
        self.idle = False
        """Whether everything there was has been taken up."""
        self.measure = Measure()
        """How much waited when it was last measured."""
        self.level = Level.NORMAL

    def release(self, message_id: str) -> None:
        """The message is stored, and what belongs before it has been told: it may go."""
        self._released[message_id] = time.monotonic()
        self.idle = False
        self._news.set()

    def go_on(self) -> None:
        """There is room again."""
        if self._full:
            self._news.set()

    def sent(self, ids: Sequence[int]) -> None:
        """The broker has these."""
        self._sent += ids
        self._acknowledged.set()

    async def run(self, sink: Sink) -> None:
        """Work until cancelled. A store that fails is tried again."""

        async def take_up() -> None:
            await self._take_up(sink)

        async def tidy() -> None:
            await self._tidy(sink)

        async with asyncio.TaskGroup() as group:
            group.create_task(_forever(take_up, self._news), name="outbox take up")
            group.create_task(_forever(tidy, self._acknowledged), name="outbox tidy")

    async def flush(self) -> None:
        """Take away what was acknowledged, for the last time; what stays is sent again by the next run."""
        try:
            await self._remove_sent()
            self.measure = await self._outbox.measure()
        except StoreError as error:
            log.warning("acknowledged messages stay in the outbox", action="outbox_store", error=str(error))

    async def _take_up(self, sink: Sink) -> None:
        self._full = False
        while (room := min(PAGE, sink.room())) > 0:
            page = await self._outbox.after(self._last, room)
            for message in page:
                if not self._may_go(message):
                    return
                self._released.pop(message.message_id, None)
                self._last = message.id
                sink.take(message)
            if len(page) < room:
                if not self._news.is_set():
                    self.idle = True
                    sink.caught_up()
                return
        self._full = True

    def _may_go(self, message: Stored) -> bool:
        if message.message_id in self._released:
            return True
        # A clock that was set back must not keep it for hours.
        return not 0 <= time.time() * 1000 - message.made_at_ms <= UNRELEASED_MS

    async def _tidy(self, sink: Sink) -> None:
        await self._remove_sent()
        now_s = time.monotonic()
        if now_s - self._measured_s < MEASURE_EVERY_S:
            return
        self._measured_s = now_s
        # What was released and never found: it waited already when it was told again.
        forget = [name for name, at_s in self._released.items() if now_s - at_s > MEASURE_EVERY_S]
        for name in forget:
            del self._released[name]
        await self._keep_bounds(sink)

    async def _remove_sent(self) -> None:
        if not self._sent:
            return
        await asyncio.sleep(GATHER_S)
        ids = list(self._sent)
        await self._outbox.remove(ids)
        del self._sent[: len(ids)]

    async def _keep_bounds(self, sink: Sink) -> None:
        self.measure = measure = await self._outbox.measure()
        before, self.level = self.level, level(self.level, measure.size, self._limit_bytes)
        if self.level is not before:
            sink.filled(self.level, measure, self._limit_bytes)
            say = log.info if self.level is Level.NORMAL else log.error
            say(
                _SAID[self.level],
                action=f"outbox_{self.level.value}",
                messages=measure.messages,
                megabytes=round(measure.size / 1e6, 3),
                limit_megabytes=round(self._limit_bytes / 1e6, 3),
            )
        if measure.size > self._limit_bytes and self.level is Level.DROPPING:
            too_much = measure.size - int(AFTER_DROP * self._limit_bytes)
            ids = await self._outbox.drop_oldest(too_much, spare=sink.on_the_way())
            sink.dropped(ids)
            log.error(
                "the outbox is full: its oldest messages are dropped; `callsteward feed status` says which"
                " span to send again",
                action="outbox_dropped",
                messages=len(ids),
            )
            self.measure = await self._outbox.measure()


_SAID = {
    Level.NORMAL: "the outbox has room again",
    Level.FILLING: "the outbox fills: the broker takes less than is made; soon the oldest will be dropped",
    Level.DROPPING: "the outbox is full: the oldest messages are being dropped",
}


async def _forever(work: Callable[[], Awaitable[None]], woken: asyncio.Event) -> None:
    backoff = Backoff(0.2, 5.0)
    while True:
        woken.clear()
        try:
            await work()
        except StoreError as error:
            log.error("the outbox waits for the store", action="outbox_store", error=str(error))  # noqa: TRY400
            await asyncio.sleep(backoff.next_s())
            woken.set()
        else:
            backoff.reset()
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await woken.wait()
        except TimeoutError:
            pass

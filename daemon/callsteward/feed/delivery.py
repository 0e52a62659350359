"""Delivery from the outbox: passes waiting messages to the feed, and removes acknowledged ones.

A message is on disk before it is sent. A call record is `release`d by its maker, after the call events that
belong before it; if nothing waits it is then sent straight away, without being read back. Every other message
comes from the disk in its turn: those that an earlier process left, those that had no room, and steps of
callbacks, which the command line makes too and whose order must not change. Only some are held in memory: a
broker that is away costs disk space, and never the reader of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import StrEnum
from typing import Protocol

import structlog

from callsteward.exceptions import StoreError
from callsteward.health import OutboxState
from callsteward.network.backoff import Backoff
from callsteward.store.message import RECORD
from callsteward.store.outbox import Outbox, OutboxSize, Stored

log = structlog.get_logger("callsteward.feed")

# Messages read at a time.
PAGE = 250
# Other processes (the command line) put messages in and cannot wake this one.
LOOK_EVERY_S = 1.0
# A maker in this process releases its message within milliseconds of the commit.
UNRELEASED_MS = 2_000
# Acknowledgements that come together are one transaction.
GATHER_S = 0.1
MEASURE_EVERY_S = 5.0
# Shares of the limit: from the first on the outbox is reported as filling, below the second as in order
# again, and the third is left after it had to drop.
FILLING, IN_ORDER, AFTER_DROP = 0.8, 0.7, 0.95


class Level(StrEnum):
    """How full the outbox is."""

    NORMAL = "normal"
    FILLING = "filling"
    DROPPING = "dropping"


def level(before: Level, size: int, limit: int) -> Level:
    """The level at `size` bytes. Nothing is dropped before the outbox was reported as filling once."""
    if size > limit and before is not Level.NORMAL:
        return Level.DROPPING
    if size >= FILLING * limit:
        return Level.FILLING if before is Level.NORMAL else before
    return before if size >= IN_ORDER * limit else Level.NORMAL


class Sink(Protocol):
    """The sender: the feed. None of these waits or fails."""

    def room(self) -> int:
        """How many more messages it accepts now."""
        ...

    def take(self, message: Stored) -> None:
        """Send this one after all those taken before."""
        ...

    def on_the_way(self) -> Collection[str]:
        """Messages being sent at this moment, by message_id."""
        ...

    def forget(self, names: Collection[str]) -> int:
        """Stop sending these, by message_id; returns how many of them had been taken."""
        ...

    def dropped(self, messages: int, taken: int) -> None:
        """This many are given up, of which `taken` had been taken."""
        ...

    def caught_up(self) -> None:
        """All waiting messages have been taken."""
        ...

    def filled(self, now: Level, measure: OutboxSize, limit: int) -> None:
        """The level has changed. `limit`: bytes."""
        ...


class Delivery:
    """Reads one site's outbox for the feed. `release`, `go_on` and `sent` neither wait nor fail."""

    def __init__(self, outbox: Outbox, *, limit_bytes: int) -> None:
        self._outbox = outbox
        self._limit_bytes = limit_bytes
        # All up to this id have been taken, unless they are to be read again; all up to the other one are
        # from an earlier process.
        self._last = 0
        self._again = False
        self._inherited: int | None = None
        # By message_id: taken and still in the outbox; removed since the last read began; free to be taken
        # from the disk, and since when.
        self._taken: set[str] = set()
        self._removed: set[str] = set()
        self._released: dict[str, float] = {}
        self._sent: list[str] = []
        # Acknowledged, and to be removed by the next transaction, whatever it is for.
        self._leaving: set[str] = set()
        self._refused: list[str] = []
        self._news = asyncio.Event()
        self._acknowledged = asyncio.Event()
        # Held while messages are read and taken, and while some are dropped: a message dropped after it had
        # been read would otherwise be taken, and sent, all the same.
        self._turn = asyncio.Lock()
        self._measured_s = float("-inf")
        self._full = False
        self._stopping = False
        self.in_step = False
        """Whether every released message has been taken."""
        self.measure = OutboxSize()
        """The outbox's size when it was last measured."""
        self.level = Level.NORMAL

    @property
    def state(self) -> OutboxState:
        """How much waits and may wait, for /metrics."""
        measure = self.measure
        return OutboxState(measure.messages, measure.size, self._limit_bytes, measure.oldest_ms)

    def release(self, message_id: str, room: int, *, by_hand: bool = True) -> bool:
        """The message is stored, and the messages that belong before it were sent: it may go.

        True: nothing waits before it, and the caller sends it. False: it comes from the disk in its turn,
        like every message that may not go `by_hand`.
        """
        if message_id in self._taken:
            return False
        if by_hand and self.in_step and room > 0:
            self._taken.add(message_id)
            return True
        self.in_step = False
        self._released[message_id] = time.monotonic()
        self._news.set()
        return False

    def go_on(self) -> None:
        """There is room again."""
        if self._full:
            self._news.set()

    def sent(self, names: Sequence[str]) -> None:
        """The broker has these."""
        self._sent += names
        self._acknowledged.set()

    def refused(self, name: str) -> None:
        """The broker has refused this one; `sent` is called for it as well."""
        self._refused.append(name)

    def stop(self) -> None:
        """Let `run` return after its present step: no work on the database is interrupted."""
        self._stopping = True
        self._news.set()
        self._acknowledged.set()

    async def run(self, sink: Sink) -> None:
        """Work until `stop`. A store that fails is tried again."""

        async def take_up() -> None:
            await self._take_up(sink)

        async def tidy() -> None:
            await self._tidy(sink)

        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(take_up, self._news), name="outbox take up")
            group.create_task(self._repeat(tidy, self._acknowledged), name="outbox tidy")

    async def flush(self) -> None:
        """Remove acknowledged messages at once; the others are sent again by the next run."""
        try:
            await self._remove_sent()
            self.measure = await self._outbox.measure()
        except StoreError as error:
            log.warning("acknowledged messages stay in the outbox", action="outbox_store", error=str(error))

    async def _repeat(self, work: Callable[[], Awaitable[None]], woken: asyncio.Event) -> None:
        backoff = Backoff(0.2, 5.0)
        while not self._stopping:
            woken.clear()
            wait_s = LOOK_EVERY_S
            try:
                await work()
            except StoreError as error:
                log.error("the outbox waits for the store", action="outbox_store", error=str(error))  # noqa: TRY400
                wait_s = backoff.next_s()
            else:
                backoff.reset()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await woken.wait()

    async def _take_up(self, sink: Sink) -> None:
        """Take the messages that may go, in order, until none are left or there is no more room."""
        self._full = False
        if self._inherited is None:
            self._inherited = await self._outbox.newest()
        at = self._last
        while True:
            async with self._turn:
                if self._again:
                    self._again = False
                    at = self._last = 0
                began_s = time.monotonic()
                # No read that begins now finds them any more.
                self._taken -= self._removed
                self._removed.clear()
                page = await self._outbox.after(at, PAGE)
                self._full = not self._take(page, at, sink)
                if self._full:
                    return
            if page:
                at = page[-1].id
            if len(page) < PAGE and self._is_in_step(began_s):
                self.in_step = True
                sink.caught_up()
                return

    def _take(self, page: Sequence[Stored], after: int, sink: Sink) -> bool:
        """Take those messages that may go of a page read after the id `after`; False: no more room."""
        for message in page:
            before, after = after, message.id
            if message.message_id not in self._taken:
                if not self._may_go(message):
                    # Its maker will release it, or it grows old: `_last` stays before it, so it is found
                    # again.
                    continue
                if sink.room() <= 0:
                    return False
                self._released.pop(message.message_id, None)
                self._taken.add(message.message_id)
                sink.take(message)
            if before == self._last:
                self._last = message.id
        return True

    def _is_in_step(self, read_s: float) -> bool:
        """True if a read to the end, begun at `read_s`, has found every released message."""
        # A message is stored before it is released: one released before the read is in it, or was gone
        # already.
        self._released = {name: at_s for name, at_s in self._released.items() if at_s >= read_s}
        return not self._released

    def _may_go(self, message: Stored) -> bool:
        # Only a record has events before it; and a record of an earlier process is released by nobody.
        if message.kind != RECORD or message.id <= (self._inherited or 0):
            return True
        if message.message_id in self._released:
            return True
        # A clock that was set back must not keep it for hours.
        return not 0 <= time.time() * 1000 - message.made_at_ms <= UNRELEASED_MS

    async def _tidy(self, sink: Sink) -> None:
        if self._sent or self._leaving:
            # On a busy PBX the next record comes sooner, and takes them along.
            await self._let_go()
            await asyncio.sleep(GATHER_S)
            await self._outbox.settle()
        now_s = time.monotonic()
        if now_s - self._measured_s < MEASURE_EVERY_S:
            return
        self._measured_s = now_s
        await self._keep_bounds(sink)

    async def _remove_sent(self) -> None:
        await self._drop_refused()
        if not (self._sent or self._leaving):
            return
        names, self._sent = self._sent, []
        try:
            await self._outbox.remove(names)
        except StoreError:
            self._sent = names + self._sent
            raise
        self._removed.update(names)

    async def _let_go(self) -> None:
        """Have acknowledged messages removed along with whatever is written next."""
        await self._drop_refused()
        if self._sent:
            names, self._sent = self._sent, []
            self._leaving.update(names)
            self._outbox.remove_along(names, lambda: self._left(names))

    async def _drop_refused(self) -> None:
        if self._refused:
            refused, self._refused = self._refused, []
            try:
                await self._outbox.drop(refused)
            except StoreError:
                self._refused = refused + self._refused
                raise

    def _left(self, names: Sequence[str]) -> None:
        self._leaving.difference_update(names)
        self._removed.update(names)

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
            # A message that the broker has by now cannot be dropped.
            await self._remove_sent()
            measure = await self._outbox.measure()
        if measure.size > self._limit_bytes and self.level is Level.DROPPING:
            too_much = measure.size - int(AFTER_DROP * self._limit_bytes)
            await self._drop_oldest(sink, too_much)
            self.measure = await self._outbox.measure()

    async def _drop_oldest(self, sink: Sink, size: int) -> None:
        """Give up the oldest messages that are not being sent, at least `size` bytes of them."""

        def spared() -> set[str]:
            return {*sink.on_the_way(), *self._sent, *self._leaving}

        async with self._turn:
            oldest = await self._outbox.oldest(size, spare=spared())
            # Some may have left meanwhile. The others are forgotten at once, so that none leaves now.
            left = spared()
            names = [name for name in oldest if name not in left]
            taken = sink.forget(names)
            try:
                await self._outbox.drop(names)
            except StoreError:
                # They are on disk still, and come from there again.
                self._taken.difference_update(names)
                self._again = True
                self.in_step = False
                self._news.set()
                raise
            self._removed.update(names)
            sink.dropped(len(names), taken)
        if names:
            log.error(
                "the outbox is full: its oldest messages are dropped; `callsteward feed"
                " status` names the span to send again",
                action="outbox_dropped",
                messages=len(names),
            )


_SAID = {
    Level.NORMAL: "the outbox has room again",
    Level.FILLING: (
        "the outbox fills: the broker takes less than is made; soon the oldest messages will be dropped"
    ),
    Level.DROPPING: "the outbox is full: the oldest messages are being dropped",
}

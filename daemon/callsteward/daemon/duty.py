"""From standing by to acting: a daemon with [standby] until the site is its own, and from then on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, runtime_checkable

import structlog

from callsteward.ari.frames import FrameQueue
from callsteward.ari.rest import Rest
from callsteward.daemon.standby import StandBy
from callsteward.daemon.stopping import Tasks
from callsteward.exceptions import StoreError
from callsteward.feed.output import Output
from callsteward.network.waiting import cancelled
from callsteward.part import Parts
from callsteward.store.records import Store
from callsteward.stream.deliveries import DeliveryCounts
from callsteward.stream.pump import Pump

log = structlog.get_logger(__name__)

AGAIN_S = 0.2

Begins = Callable[[], Coroutine[Any, Any, None]]


@runtime_checkable
class Warns(Protocol):
    """A feed that has a place for alerts."""

    def warn(self, rule: str, detail: str) -> None: ...


class Own:
    """Work of a daemon that acts."""

    def __init__(self, **works: Begins) -> None:
        self._works = works

    def begin(self, tasks: Tasks) -> None:
        """Start the daemon's own."""
        tasks.start(**{name: work() for name, work in self._works.items()})

    def start(self, tasks: Tasks) -> None:
        """Start the daemon's own, and then the parts'."""
        self.begin(tasks)
        tasks.start_parts()


class Duty:
    """One daemon's way from standing by to acting."""

    def __init__(
        self,
        standby: StandBy,
        tasks: Tasks,
        own: Own,
        *,
        parts: Parts,
        pump: Pump,
        feed: Output,
        kinds: DeliveryCounts,
    ) -> None:
        self._standby = standby
        self._tasks = tasks
        self._own = own
        self._parts = parts
        self._pump = pump
        self._feed = feed
        self._kinds = kinds

    async def stand_by(
        self, stop: asyncio.Event, store: Store, frames: FrameQueue, rest: Rest, ready: Callable[[], None]
    ) -> None:
        """Stand by until the site is this daemon's, then act until `stop`, or until it is asked to switch."""
        standby, tasks, pair = self._standby, self._tasks, self._standby.pair
        tasks.start(
            follow=standby.follow(store, self._feed.recall, frames.put, self._kinds.forget),
            asterisk=standby.ask(rest),
            heard=standby.watch(),
        )
        tasks.start_parts(standing_by=True)
        ready()
        log.info("stands by", action="standby_begun", instance=pair.seat.instance)
        await tasks.until(stop, pair.taken)
        if stop.is_set():
            return
        began_s = time.monotonic()
        await tasks.end("follow")
        over = asyncio.Event()
        acting = asyncio.create_task(self._act(store), name="take over")
        acting.add_done_callback(lambda _: over.set())
        try:
            await tasks.until(stop, over)
            if acting.done():
                acting.result()
        finally:
            await cancelled(acting)
        if stop.is_set():
            return
        log.info("acts", action="standby_took_over", took_s=round(time.monotonic() - began_s, 3))
        await tasks.until(stop, pair.asked)
        if pair.asked.is_set():
            log.warning("hands the site over, as it was asked to", action="standby_switched")

    async def _act(self, store: Store) -> None:
        """Go on where the other daemon left, as after a restart."""
        standby = self._standby
        before = standby.pair.peer
        # The feed connects meanwhile, and delivers what that one left in the outbox.
        self._own.begin(self._tasks)
        while True:
            try:
                await standby.keep_up(store, self._feed.recall)
                await self._parts.load()
                break
            except StoreError as error:
                log.error("the open work waits for the store", action="standby_store", error=str(error))  # noqa: TRY400
                await asyncio.sleep(AGAIN_S)
        self._parts.take_over(standby.linked_since_ms)
        await self._pump.act()
        standby.acts = True
        self._tasks.start_parts()
        if before is not None and isinstance(self._feed, Warns):
            detail = (
                f"{standby.pair.seat.instance} acts from now on, after {before.instance} (on {before.host})"
            )
            self._feed.warn("standby_acts", detail)

"""How the daemon stops: until when it runs, in which order its tasks end, and how long each may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import structlog

from callsteward.ari.link import Link
from callsteward.exceptions import CallstewardError
from callsteward.feed.output import Output
from callsteward.network.waiting import cancelled
from callsteward.part import Part, Parts
from callsteward.store.records import Store
from callsteward.stream.pump import Pump

log = structlog.get_logger(__name__)

# All together under the 5 s that a stop may take.
PARTS_STOP_S = 0.4
PUMP_STOP_S = 1.3
FEED_STOP_S = 1.0
LINK_STOP_S = 1.6
STORE_STOP_S = 0.5


class Tasks:
    """The tasks that run until the daemon stops; none of them ends by itself."""

    def __init__(self, parts: Parts) -> None:
        self._waiting = parts.runs()
        self._parts: dict[str, Part] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, **works: Coroutine[Any, Any, None]) -> None:
        """Start work of the daemon's own."""
        self._tasks |= {name: asyncio.create_task(work, name=name) for name, work in works.items()}

    def start_parts(self, *, standing_by: bool = False) -> None:
        """Start the parts' work that is not begun; `standing_by`: only that of a daemon that stands by."""
        for name, part in list(self._waiting.items()):
            if part.stands_by or not standing_by:
                self._parts[name] = self._waiting.pop(name)
                self.start(**{name: part.run()})

    async def until(self, *events: asyncio.Event) -> None:
        """Return once one of these is set; raise where a task ended."""
        waiting = {asyncio.create_task(event.wait(), name="stop") for event in events}
        try:
            working: set[asyncio.Task[Any]] = {*self._tasks.values(), *waiting}
            await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks.values():
                if task.done():
                    task.result()
                    message = f"the task {task.get_name()!r} ended by itself: please report it"
                    raise CallstewardError(message)
        finally:
            for one in waiting:
                await cancelled(one)

    async def end(self, *names: str) -> None:
        """End work of the daemon's own that is not needed any more."""
        for name in names:
            await cancelled(self._tasks.pop(name))

    async def wind_down(
        self, link: Link, pump: Pump, feed: Output, hand_over: Callable[[], Awaitable[None]]
    ) -> None:
        """Stop in the order the data goes, so that what has arrived still goes out.

        `hand_over`: to a daemon that stands by, which goes on with all that has not been done by then.

        A task that does not end is left behind: Asterisk's connection must be closed gracefully whatever the
        database does, and a statement whose server hangs cannot be cancelled (asyncpg waits for the server).
        """
        await self._end(name for name, part in self._parts.items() if part.talks_with_clients)
        await hand_over()
        self._tasks["link"].cancel()
        await asyncio.wait({self._tasks["link"]}, timeout=LINK_STOP_S)
        pump.finish(closed_gracefully=link.closed_gracefully)
        await asyncio.wait({self._tasks["pump"]}, timeout=PUMP_STOP_S)
        await self._end(self._parts)
        if "feed" in self._tasks and not self._tasks["feed"].done():
            await feed.drain(FEED_STOP_S)
        await self._end(self._tasks)

    async def _end(self, names: Iterable[str]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PARTS_STOP_S
        for name in names:
            task = self._tasks[name]
            await cancelled(task, within_s=max(0.0, until - loop.time()))
            if not task.done():
                log.error("stopping without a task, which hangs", action="task_hangs_at_stop", task=name)


async def closed(store: Store) -> None:
    """Close the store, unless its disk hangs: then the connections end with the process."""
    try:
        async with asyncio.timeout(STORE_STOP_S):
            await store.close()
    except TimeoutError:
        log.error("stopping without the store, which hangs", action="store_hangs_at_stop")  # noqa: TRY400

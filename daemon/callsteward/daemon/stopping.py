"""How the daemon stops: until when it runs, in which order its tasks end, and how long each may take."""

from __future__ import annotations

import asyncio

import structlog

from callsteward.ari.link import Link
from callsteward.exceptions import CallstewardError
from callsteward.feed.output import Output
from callsteward.network.waiting import cancelled
from callsteward.store.records import Store
from callsteward.stream.pump import Pump

log = structlog.get_logger(__name__)

# All together under the 5 s that a stop may take.
PUMP_STOP_S = 1.5
FEED_STOP_S = 1.0
LINK_STOP_S = 1.6
STORE_STOP_S = 0.5


async def until_stop(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Return on `stop`; raise where one of the tasks ended, for none of them ends by itself."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
                message = f"the task {task.get_name()!r} ended by itself: please report it"
                raise CallstewardError(message)
    finally:
        await cancelled(stopping)


async def wind_down(tasks: dict[str, asyncio.Task[None]], link: Link, pump: Pump, feed: Output) -> None:
    """Stop in the order the data goes, so that what has arrived still goes out."""
    if "ratings" in tasks:
        # First of all: clients in the menu are sent on to be thanked.
        await cancelled(tasks["ratings"])
    tasks["ari"].cancel()
    await asyncio.wait({tasks["ari"]}, timeout=LINK_STOP_S)
    pump.finish(handed_over=link.handed_over)
    await asyncio.wait({tasks["pump"]}, timeout=PUMP_STOP_S)
    if "callbacks" in tasks:
        await cancelled(tasks["callbacks"])
    if not tasks["feed"].done():
        await feed.drain(FEED_STOP_S)
    for task in tasks.values():
        await cancelled(task)


async def closed(store: Store) -> None:
    """Close the store, unless its disk hangs: then the connections end with the process."""
    try:
        async with asyncio.timeout(STORE_STOP_S):
            await store.close()
    except TimeoutError:
        log.error("stopping without the store, which hangs", action="store_hangs_at_stop")  # noqa: TRY400

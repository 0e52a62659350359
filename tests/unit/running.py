"""A daemon that runs while a test is at work, and ends with it, whether the test passes or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from callsteward.daemon.app import Daemon


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[None]:
    """Run a daemon. At the end it is told to stop, as by SIGTERM, and has 60 s for it."""
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task

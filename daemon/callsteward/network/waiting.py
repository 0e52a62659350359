"""Waiting for the end of a task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def cancelled(task: asyncio.Task[Any], *, within_s: float | None = None) -> None:
    """Cancel a task and wait for its end, or for `within_s` seconds.

    Its error, if any, was dealt with where it was awaited.
    """
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=within_s)
    if done and not task.cancelled():
        task.exception()


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run several that do not end by themselves; raises the first one's error, and ends the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            await cancelled(task)

"""Waiting for what is being ended."""

from __future__ import annotations

import asyncio
from typing import Any


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; its error, if any, was dealt with where it was awaited."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()

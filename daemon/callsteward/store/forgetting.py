"""Forgetting what is past its time, each hour: the same for every table that has a retention."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from callsteward.exceptions import StoreError

log = structlog.get_logger(__name__)

EVERY_S = 3600.0


async def hourly(forget: Callable[[], Awaitable[object]], *, failing: str, action: str) -> None:
    """Forget until cancelled. A store that fails is logged so, and tried again the next hour."""
    while True:
        try:
            await forget()
        except StoreError as error:
            log.warning(failing, action=action, error=str(error))
        await asyncio.sleep(EVERY_S)

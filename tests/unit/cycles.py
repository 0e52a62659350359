"""Objects left to the garbage collector, which in a busy daemon runs minutes later."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

WARM_UP = 10
TIMES = 50


async def left_in_cycles(work: Callable[[int], Awaitable[object]]) -> float:
    """Objects in cycles that each time of `work(number)` leaves behind."""
    for number in range(WARM_UP):
        await work(number)
    gc.collect()
    gc.disable()
    try:
        for number in range(WARM_UP, WARM_UP + TIMES):
            await work(number)
        return gc.collect() / TIMES
    finally:
        gc.enable()

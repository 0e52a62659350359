"""Deletes data past the retention: full numbers in the ledger, and fences and recordings in Asterisk.

A number is deleted at once. Asterisk is asked again until it confirms that its data is gone: so nothing stays
for ever on a PBX that is down or refuses on that day.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic

from callsteward.clock import DAY_MS, HOUR_MS
from callsteward.outgoing.fence import Fence
from callsteward.outgoing.ledger import Ledger
from callsteward.outgoing.plan import R, S

# This many rows at a time, then a pause, so as not to burden a PBX that carries calls.
AT_ONCE = 20
NEXT_MS = 60_000
# After all rows were tried: those that Asterisk has not confirmed are tried again.
AGAIN_MS = HOUR_MS


class Retention(Generic[R, S]):
    """Deletes once a day, and each hour what Asterisk has not confirmed. `forget` asks it for one row."""

    def __init__(
        self,
        days: int,
        ledger: Ledger[R, S],
        fence: Fence,
        *,
        forget: Callable[[R], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._keep_ms = days * DAY_MS
        self._ledger = ledger
        self._fence = fence
        self._forget = forget
        self._now_ms = now_ms
        self._numbers_due_ms = 0
        self._due_ms = 0
        # All rows up to this call were tried: a row that Asterisk refuses does not hold up the others.
        self._tried = ""

    async def work(self, *, linked: bool) -> None:
        """Delete the data that is due. Raises StoreError."""
        now_ms = self._now_ms()
        before_ms = now_ms - self._keep_ms
        if now_ms >= self._numbers_due_ms:
            await self._ledger.forget_numbers(before_ms)
            self._numbers_due_ms = now_ms + DAY_MS
        if not linked or now_ms < self._due_ms:
            return
        left = await self._ledger.kept_until(before_ms, after=self._tried, limit=AT_ONCE)
        if left:
            await self._fence.look()
        for row in left:
            await self._forget(row)
        if len(left) == AT_ONCE:
            self._tried, self._due_ms = self._ledger.call_of(left[-1]), now_ms + NEXT_MS
        else:
            self._due_ms = now_ms + (AGAIN_MS if left or self._tried else DAY_MS)
            self._tried = ""

"""What is past the retention goes: full numbers from the ledger, fences from Asterisk's database.

A fence is gone when Asterisk says so; until then it is asked again.
"""

from __future__ import annotations

from collections.abc import Callable

from callsteward.callback.dialplan import Dialplan
from callsteward.callback.ledger import Ledger
from callsteward.clock import DAY_MS
from callsteward.config import Config

# So many fences at a time, and so long until the next ones: no burst on a PBX that has calls to carry.
AT_ONCE = 20
AGAIN_MS = 60_000


class Retention:
    """Forgets, once a day, and until there is nothing left to forget."""

    def __init__(
        self, config: Config, ledger: Ledger, dialplan: Dialplan, *, now_ms: Callable[[], int]
    ) -> None:
        self._keep_ms = config.callback.retention_days * DAY_MS
        self._ledger = ledger
        self._dialplan = dialplan
        self._now_ms = now_ms
        self._numbers_due_ms = 0
        self._fences_due_ms = 0

    async def work(self, *, linked: bool) -> None:
        """Forget what is due. Raises StoreError."""
        now_ms = self._now_ms()
        before_ms = now_ms - self._keep_ms
        if now_ms >= self._numbers_due_ms:
            await self._ledger.forget_numbers(before_ms)
            self._numbers_due_ms = now_ms + DAY_MS
        if not linked or now_ms < self._fences_due_ms:
            return
        fenced = await self._ledger.kept_until(before_ms, limit=AT_ONCE)
        if fenced and not self._dialplan.included:
            await self._dialplan.look()
        if not fenced or not self._dialplan.included:
            self._fences_due_ms = now_ms + DAY_MS
            return
        for callback in fenced:
            await self._dialplan.forget(callback.id)
        self._fences_due_ms = now_ms + AGAIN_MS

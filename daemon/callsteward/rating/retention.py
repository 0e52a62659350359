"""What is past the retention goes: full numbers from the ledger, spoken comments and fences from Asterisk.

A number goes at once. A comment's name stays in the ledger until Asterisk has deleted the file or has none of
that name, and Asterisk is asked to remove a fence until it says that the fence is gone: a PBX that is away or
refuses on the day keeps nothing for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from callsteward.ari.rest import Rest
from callsteward.clock import DAY_MS, HOUR_MS
from callsteward.exceptions import AriError
from callsteward.rating.ledger import Ledger
from callsteward.rating.states import Rating

log = structlog.get_logger(__name__)

# So many ratings at a time, and so long until the next ones: no burst on a PBX that has calls to carry.
AT_ONCE = 20
NEXT_MS = 60_000
# Once each was tried: what Asterisk has not confirmed by then is tried again.
AGAIN_MS = HOUR_MS


class Retention:
    """Forgets, once a day, and each hour what Asterisk has not confirmed. `forget` removes a fence."""

    def __init__(
        self,
        days: int,
        ledger: Ledger,
        rest: Rest,
        *,
        forget: Callable[[str], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._keep_ms = days * DAY_MS
        self._ledger = ledger
        self._rest = rest
        self._forget_fence = forget
        self._now_ms = now_ms
        self._numbers_due_ms = 0
        self._due_ms = 0
        # The call up to which everything was tried: what Asterisk refuses is in nobody's way.
        self._tried = ""

    async def work(self, *, linked: bool) -> None:
        """Forget what is due. Raises StoreError."""
        now_ms = self._now_ms()
        before_ms = now_ms - self._keep_ms
        if now_ms >= self._numbers_due_ms:
            await self._ledger.forget_numbers(before_ms)
            self._numbers_due_ms = now_ms + DAY_MS
        if not linked or now_ms < self._due_ms:
            return
        left = await self._ledger.kept_until(before_ms, after=self._tried, limit=AT_ONCE)
        for rating in left:
            await self._forget(rating)
        if len(left) == AT_ONCE:
            self._tried, self._due_ms = left[-1].call_id, now_ms + NEXT_MS
        else:
            self._due_ms = now_ms + (AGAIN_MS if left or self._tried else DAY_MS)
            self._tried = ""

    async def _forget(self, rating: Rating) -> None:
        if rating.comment_file is not None and await self._deleted(rating.comment_file):
            await self._ledger.comment_gone(rating)
        if rating.attempts and rating.fence_gone_at_ms is None:
            # Its answer is an event: the dialplan says that the fence is gone.
            await self._forget_fence(rating.id)

    async def _deleted(self, name: str) -> bool:
        """Whether Asterisk has no such recording any more."""
        try:
            # Where there was none of that name it is gone, too.
            await self._rest.delete_recording(name)
        except AriError as error:
            log.warning("a comment was not deleted", action="rating_forget", error=str(error))
            return False
        return True

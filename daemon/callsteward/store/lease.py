"""Until when a daemon may act, where a second one of its site stands by.

The fence is a number that rises by one each time that a daemon takes the site. Every transaction that writes
proves that the daemon's own is still the newest: a daemon that was taken over from writes nothing, whatever
it had begun. An act outside the database (a phone that rings, a message to the broker) cannot be proved this
way; it is only done while the lease holds, which ends before another daemon may take the site.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callsteward.exceptions import FencedError

# Whoever takes the site waits for transactions that have shown their proof; later ones see the new number.
_PROOF: Final = text("SELECT 1 FROM site_claims WHERE site = :site AND fence = :fence FOR SHARE")
_NEVER: Final = float("-inf")


def steady_s() -> float:
    """A clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """The right of one daemon to act for its site."""

    def __init__(self, site: str, clock: Callable[[], float] = steady_s) -> None:
        self._site = site
        self._clock = clock
        self._until_s = _NEVER
        self.fence: int | None = None
        """The number of its claim, None before it has the site and after it has given it up."""
        self.lost = ""
        """Why the site is another daemon's now; empty while it is not."""

    @property
    def holds(self) -> bool:
        """True if this daemon may act at this moment."""
        return self.fence is not None and self._clock() < self._until_s

    def begin(self, fence: int, until_s: float) -> None:
        """The site was taken, with this fence; it may act until then."""
        self.fence = fence
        self._until_s = until_s

    def extend(self, until_s: float) -> None:
        """The site is still ours."""
        self._until_s = max(self._until_s, until_s)

    def end(self, why: str = "") -> None:
        """Act no more. `why`: another daemon has the site."""
        self._until_s = _NEVER
        self.fence = None
        self.lost = self.lost or why

    async def show(self, connection: AsyncConnection) -> None:
        """Prove in a transaction that it may write. Raises FencedError."""
        if self.fence is None:
            message = self.lost or f"this daemon stands by for the site {self._site!r}: it writes nothing"
            raise FencedError(message)
        values = {"site": self._site, "fence": self.fence}
        if (await connection.execute(_PROOF, values)).first() is None:
            self.end(taken_over(self._site))
            raise FencedError(self.lost)


def taken_over(site: str) -> str:
    """The message of a daemon that is not to act any more."""
    return (
        f"another daemon of the site {site!r} has taken over: this one acts no more, and may come back to"
        " stand by"
    )

"""Subscribes to the devices that say something of operators, and reads their present states.

Each connection, each snapshot (events may have been left out before it), each member found and, beside that,
every few minutes: what a queue forgets in a reload is not always told by an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from callsteward.ari.rest import Rest
from callsteward.exceptions import AriError
from callsteward.network.backoff import Backoff
from callsteward.statuses.seen import Seen

log = structlog.get_logger(__name__)


class Asking:
    """Works until cancelled. `changed` is called for news."""

    def __init__(
        self,
        rest: Rest,
        app: str,
        seen: Seen,
        *,
        reread_s: float,
        now_ms: Callable[[], int],
        changed: Callable[[], None],
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`first` is awaited before devices are read."""
        self._rest = rest
        self._app = app
        self._seen = seen
        self._reread_s = reread_s
        self._now_ms = now_ms
        self._changed = changed
        self._first = first
        self._wake = asyncio.Event()
        # Counts connections: an answer from before the present one says nothing.
        self._link = 0
        self.linked = False
        self.known = False
        """True once every device was read on this connection."""

    def link(self, connected: bool) -> None:
        """The connection was made, or lost."""
        self.linked = connected
        self.known = False
        self._link += 1
        self._seen.clear()
        self.again()

    def again(self) -> None:
        """Ask anew, soon."""
        self._wake.set()

    def look_at(self, seen: Seen) -> None:
        """From now on ask for other devices."""
        self._seen = seen
        self._link += 1
        self.again()

    async def run(self) -> None:
        backoff = Backoff(0.5, 30.0)
        while True:
            self._wake.clear()
            wait_s = self._reread_s
            if self.linked:
                try:
                    await self._ask(self._link)
                    backoff.reset()
                except AriError as error:
                    wait_s = min(wait_s, backoff.next_s())
                    log.warning(
                        "operators' phones and pauses cannot be read: their statuses may be unknown",
                        action="statuses_unread",
                        error=str(error),
                    )
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _ask(self, link: int) -> None:
        seen = self._seen
        if self._first is not None and not self.known:
            await self._first()
        devices = seen.devices.names
        # Before they are read: no change is missed in between.
        if devices:
            await self._rest.subscribe(self._app, [f"deviceState:{device}" for device in devices])
        for device in devices:
            asked = seen.asking(device)
            state = await self._rest.device_state(device)
            if link != self._link:
                return
            if seen.answer(device, asked, state, self._now_ms()):
                self._changed()
        self.known = True
        self._changed()

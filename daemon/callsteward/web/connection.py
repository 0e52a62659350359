"""One HTTP connection behind the gate: how long it may be silent, and what follows a malformed request."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from callsteward.network.gate import Bounds, Guest
from callsteward.network.tally import RefusalTally

log = structlog.get_logger(__name__)

BOUNDS = Bounds(
    most=64, most_of_one=48, refusal=b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"
)
SILENCE_S = 10.0
"""From the connection, or the previous answer, to the end of a request's head; also the limit for reading an
answer."""
BODY_S = 5.0
"""The limit for the rest of the request."""
_LOOK_EVERY_S = 0.5


class HttpConnection(web.RequestHandler):
    """aiohttp's handler, which by itself waits for a request without limit."""

    __slots__ = ("_ended", "_guest", "_since_s", "_tally")

    def __init__(self, server: web.Server, guest: Guest, tally: RefusalTally) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, access_log=None, keepalive_timeout=SILENCE_S, lingering_time=2.0)  # type: ignore[arg-type]
        self._guest = guest
        self._tally = tally
        self._since_s = loop.time()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Serve until the connection is over, or silent for too long."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: self, self._guest.connection)
        try:
            while not self._ended.is_set():
                if not self._guest.busy and loop.time() - self._since_s > SILENCE_S:
                    self._tally.note(
                        "an HTTP connection was silent for too long: closed",
                        "web_silent",
                        kind="silent",
                        sender=self._guest.peer,
                    )
                    return
                try:
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._ended.wait()
                except TimeoutError:
                    continue
        finally:
            transport.abort()

    def begun(self) -> None:
        """A request's head has arrived."""
        self._guest.busy = True

    def answered(self) -> None:
        """Its answer is made."""
        self._guest.busy = False
        self._since_s = asyncio.get_running_loop().time()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._ended.set()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError):
            self._tally.note(
                "a request is not HTTP", "web_malformed", kind=type(error).__name__, sender=self._guest.peer
            )
        else:
            super().log_exception(*args, **kw)

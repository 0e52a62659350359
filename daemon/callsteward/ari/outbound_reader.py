"""Reads a websocket that Asterisk opened: events, answers to requests, and signs of where it stands."""

from __future__ import annotations

import asyncio

import structlog

from callsteward.ari.frames import FrameQueue
from callsteward.ari.graceful_close import GracefulClose
from callsteward.ari.keeper import Keeper
from callsteward.ari.marks import interrupted
from callsteward.ari.reader import Reader
from callsteward.ari.recent import Recent
from callsteward.ari.rest import SocketTransport
from callsteward.ari.stamp import stamp
from callsteward.ari.websocket import WebSocket, WebsocketMessage

log = structlog.get_logger(__name__)

REGISTERED_TIMEOUT_S = 10.0


class OutboundReader(Reader):
    """A Reader that also passes on the answers to REST requests, which come on the same socket.

    `broke_off_at`: the time of the last event before a break, empty if there was none. `keeper` gets the
    position up to which nothing is needed any more; `resumed_to`: the position up to which an earlier process
    read the connection.
    """

    def __init__(
        self,
        websocket: WebSocket,
        frames: FrameQueue,
        recent: Recent,
        broke_off_at: str,
        *,
        keeper: Keeper,
        resumed_to: int = 0,
    ) -> None:
        super().__init__(websocket, frames)
        self.rest = SocketTransport(websocket)
        self._to_tell = broke_off_at
        self._keeper = keeper
        self._put_to = 0
        self._resumed_to = resumed_to
        self.graceful_close: GracefulClose | None = None
        """Gets every event, once it is set."""
        self._recent = recent
        self._registered = asyncio.Event()
        if resumed_to:
            self._registered.set()

    def _take(self, message: WebsocketMessage) -> bool:
        if self._resumed_to and message.position > self._resumed_to:
            # Nobody has seen the frames from here on.
            self._resumed_to = 0
            self._recent.clear()
        if super()._take(message) and self._is_event(message.data):
            return True
        if self._keeper.done_to >= self._put_to:
            # All before it is in the journal, and is not needed here.
            self._keeper.done(message.position)
        return False

    def _put(self, message: WebsocketMessage) -> None:
        self._put_to = message.position
        self._frames.put(message.data, message.position)

    def _is_event(self, raw: bytes) -> bool:
        # A look at the head is cheap; what is there may be a value as well, so the type decides.
        head = raw[:64]
        if b"RESTResponse" in head or b"ApplicationRegistered" in head:
            kind = stamp(raw)[0]
            if kind == "RESTResponse":
                self.rest.answer(raw)
                return False
            if kind == "ApplicationRegistered":
                # Nobody has seen the frames from here on.
                self._recent.clear()
                self._registered.set()
        if self._to_tell and (moment := stamp(raw)[1]):
            log.warning(
                "the connection broke off: events on their way at that moment may be lost",
                action="ari_broke_off",
                since=self._to_tell,
                until=moment,
            )
            self._frames.put(interrupted(self._to_tell, moment))
            self._to_tell = ""
        if self.graceful_close is not None and not self.graceful_close.hear(raw):
            return False
        return not (self._recent and self._recent.take(raw))

    def _reads_on(self) -> bool:
        # If the socket were closed now, Asterisk would queue up all later events, without a limit.
        self._frames.ignore()
        return True

    async def registered_or_quiet(self) -> None:
        """Return when the queued events are through."""
        try:
            async with asyncio.timeout(REGISTERED_TIMEOUT_S):
                await self._registered.wait()
        except TimeoutError:
            log.warning("no ApplicationRegistered from Asterisk: going on without", action="ari_unregistered")

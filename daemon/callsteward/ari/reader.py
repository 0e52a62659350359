"""Takes frames off a socket."""

from __future__ import annotations

from typing import Any, Protocol

import aiohttp
import structlog

from callsteward.ari.frames import FrameQueue
from callsteward.ari.marks import pretends
from callsteward.ari.pacing import transport_of
from callsteward.ari.stamp import stamp
from callsteward.health import LONGEST_TYPE

log = structlog.get_logger(__name__)

REPLACED = (
    "another process took this ARI application: only one daemon may use it; stop that one, or give"
    " asterisk.app another name"
)
"""Why a connection that Asterisk still holds open is useless."""
_REPLACED_TYPE = "ApplicationReplaced"


class Socket(Protocol):
    """The part of a websocket that reading needs, whichever side opened it."""

    @property
    def close_code(self) -> int | None: ...

    async def receive(self) -> Any: ...


class Reader:
    """Takes frames off one socket and does nothing else, or Asterisk would cut it (100 ms)."""

    def __init__(self, socket: Socket, frames: FrameQueue) -> None:
        self._socket = socket
        self._frames = frames
        self.last: bytes | str = b""

    async def drain(self) -> str:
        """Read until the socket ends, or the queue is full; returns why."""
        pacing = self._frames.pacing
        pacing.begin(transport_of(self._socket))
        try:
            return await self._drained()
        finally:
            pacing.end()

    async def _drained(self) -> str:
        socket, frames = self._socket, self._frames
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            if not self._take(message):
                continue
            self.last = message.data
            self._put(message)
            if _replaces(message.data):
                # Measured on 22.10.1 and 16.28: the socket stays open, and no more events come on it.
                return REPLACED
            if frames.full and not self._reads_on():
                frames.counters.overflows += 1
                return "the daemon is too slow: its queue is full"
        if message.type is aiohttp.WSMsgType.ERROR:
            if isinstance(message.data, TimeoutError):
                frames.counters.silences += 1
                return "Asterisk does not answer the heartbeat: it hangs, or the network to it is broken"
            return f"connection lost: {message.data}"
        return f"closed with code {socket.close_code}"

    def _take(self, message: Any) -> bool:
        """False for a message that is no event and does not belong into the queue."""
        if not pretends(message.data):
            return True
        counters = self._frames.counters
        if counters.count_malformed():
            log.warning(
                "a frame has a type that only the daemon itself puts into the stream: left out",
                action="event_malformed",
                event_type=stamp(message.data)[0][:LONGEST_TYPE],
                count=counters.malformed,
            )
        return False

    def _put(self, message: Any) -> None:
        self._frames.put(message.data)

    def _reads_on(self) -> bool:
        """True if to go on reading with a full queue, which then leaves out arriving frames."""
        return False


def _replaces(raw: bytes | str) -> bool:
    # A look at the head is cheap; what is there may be a value as well, so the type decides.
    head = raw[:64]
    there = _REPLACED_TYPE.encode() in head if isinstance(head, bytes) else _REPLACED_TYPE in head
    return there and stamp(raw)[0] == _REPLACED_TYPE


class LastStamp:
    """The stamp of the last event before a disconnection: the beginning of a gap."""

    __slots__ = ("value",)

    def __init__(self, value: str = "") -> None:
        self.value = value

    def note(self, raw: bytes | str) -> str:
        """Note a connection's last frame; returns that frame's type."""
        kind, moment = stamp(raw)
        if moment:
            self.value = moment
        return kind

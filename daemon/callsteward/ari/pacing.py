"""Lets the socket of events rest for a moment, so that events that come one by one are read in one go.

Asterisk writes each event by itself. To be woken for each costs more than to read it: a turn of the event
loop, a system call, a task's turn. While the socket rests the kernel keeps what comes, which is far less than
would make Asterisk wait.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class Restful(Protocol):
    """A transport that can be told not to read for a while: asyncio's own, or a `WebSocket`."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Pacing:
    """The rests of one socket after the other. Without a socket, or with an unknown one, nothing happens."""

    def __init__(self) -> None:
        self._socket: Restful | None = None
        self._waking: asyncio.TimerHandle | None = None

    def begin(self, socket: Restful | None) -> None:
        """This socket is read from now on."""
        self.end()
        self._socket = socket

    def rest(self, seconds: float) -> None:
        """Read nothing for this long."""
        if self._socket is None or self._waking is not None:
            return
        self._socket.pause_reading()
        self._waking = asyncio.get_running_loop().call_later(seconds, self._wake)

    def end(self) -> None:
        """The socket is not read for events any more: what still comes on it is for others."""
        if self._waking is not None:
            self._waking.cancel()
            self._wake()
        self._socket = None

    def _wake(self) -> None:
        self._waking = None
        if self._socket is not None:
            self._socket.resume_reading()


def transport_of(socket: Any) -> Restful | None:
    """The part of a socket that can rest: our own websocket itself, of aiohttp's the transport, else None."""
    if hasattr(socket, "pause_reading"):
        found: Restful = socket
        return found
    transport = getattr(getattr(socket, "_conn", None), "transport", None)
    return transport if hasattr(transport, "pause_reading") else None

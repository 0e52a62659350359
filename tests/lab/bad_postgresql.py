"""A wire to a PostgreSQL server that fails at one message of the server's: it is cut, or brings nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _refusal(severity: str, code: str, text: str) -> bytes:
    fields = {"S": severity, "V": severity, "C": code, "M": text}
    return _message(b"E", b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0")


# postgresql.org/docs/current/protocol-message-formats.html
SHUTDOWN = _refusal("FATAL", "57P01", "terminating connection due to administrator command")
READY = _message(b"Z", b"I")
FAULTS: dict[str, Callable[[bytes], tuple[bytes, bool]]] = {
    "cut": lambda message: (message[: len(message) // 2], True),
    "shut down": lambda message: (message + SHUTDOWN, True),
    "refused": lambda _message: (_refusal("ERROR", "53200", "out of memory") + READY, False),
    "out of turn": lambda message: (READY + message, False),
}
"""What comes in a message's place, and whether the connection ends then."""


class BadWire:
    """`fails_at`: the message, counted over all connections, which `fault` takes the place of; none at 0."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.port = 0
        self.messages = 0
        self.fails_at = 0
        self.fault = "cut"
        self._open: set[asyncio.Task[None]] = set()

    async def failing(self, fault: str, at: int, act: Callable[[], Awaitable[None]]) -> None:
        """Does it, with this fault at the message `at` of all that it is answered with; none at 0."""
        self.messages, self.fault, self.fails_at = 0, fault, at
        try:
            await act()
        finally:
            self.fails_at = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        there, forth = await asyncio.open_connection("127.0.0.1", self._server_port)
        for one in (writer, forth):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asking = asyncio.create_task(self._asked(reader, forth))
        # Cancelled by `close` it ends as any other, or asyncio's server logs that.
        with contextlib.suppress(asyncio.CancelledError):
            await self._answered(there, writer)
        asking.cancel()
        for one in (writer, forth):
            one.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await one.wait_closed()
        self._open.discard(task)

    async def _asked(self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(65_536):
                forth.write(some)
                await forth.drain()
            forth.close()

    async def _answered(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await there.readexactly(1)
            if first == b"N":  # no TLS: asyncpg asks for it, and the second time it does not
                writer.write(first)
                first = await there.readexactly(1)
            while True:
                head = first + await there.readexactly(5 - len(first))
                first = b""
                message = head + await there.readexactly(struct.unpack("!I", head[1:])[0] - 4)
                self.messages += 1
                ends = False
                if self.messages == self.fails_at:
                    message, ends = FAULTS[self.fault](message)
                writer.write(message)
                await writer.drain()
                if ends:
                    return

    async def close(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def bad_wire(server_port: int) -> AsyncIterator[BadWire]:
    wire = BadWire(server_port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.close()

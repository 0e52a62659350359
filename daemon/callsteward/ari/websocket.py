"""The server's side of Asterisk's websocket, on a socket and a memory that outlive the process (`keeper`).

The protocol is that of the library `websockets`, without its input and output: aiohttp's websocket keeps its
read bytes to itself, and cannot begin in the middle of a connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from callsteward.ari.ring import Ring

HANDSHAKE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
_HANDSHAKE_BYTES = 65536
UNSENT_LIMIT = 4 * 1024 * 1024
"""Bytes that wait to be sent (answers to pings): a peer that reads none of them is no Asterisk."""
FRAGMENTS_LIMIT = 10_000
"""Frames of one message; each may be empty, so their bytes are no bound."""
_OF_MESSAGES = frozenset({Opcode.TEXT, Opcode.CONT, Opcode.BINARY})
_END = b"\r\n\r\n"
_NORMAL, _GOING_AWAY = 1000, 1001

# Not the library's own logger: at debug level it would log the password.
_logger = logging.getLogger("callsteward.ari.websocket")
_logger.setLevel(logging.WARNING)


class WebsocketMessage(NamedTuple):
    """The result of `receive`, in aiohttp's terms: bytes of TEXT, the exception of an ERROR.

    `position`: up to where the connection was read once this message was (`ring`).
    """

    type: aiohttp.WSMsgType
    data: Any
    position: int


class WebsocketRefusal(NamedTuple):
    """The reason for refusing a websocket."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...] = ()


class _Protocol(ServerProtocol):
    """Also records where in the stream each message ends."""

    def __init__(self, state: State, max_bytes: int) -> None:
        self.ends: deque[tuple[Frame, int]] = deque()
        self.fed = 0
        super().__init__(subprotocols=[Subprotocol("ari")], state=state, max_size=max_bytes, logger=_logger)

    def recv_frame(self, frame: Frame) -> None:
        super().recv_frame(frame)
        self.ends.append((frame, self.fed - len(self.reader.buffer)))


class Handshake:
    """A connection that has just been made: its request, and our answer."""

    def __init__(self, connection: socket.socket, *, max_bytes: int) -> None:
        self.connection = connection
        self.protocol = _Protocol(State.CONNECTING, max_bytes)
        self._head = b""

    @property
    def consumed(self) -> int:
        """How many bytes were read."""
        return len(self._head)

    async def request(self) -> Request | None:
        """The request; None if it is no HTTP, or does not come in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                while True:
                    data = await loop.sock_recv(self.connection, _HANDSHAKE_BYTES)
                    if not data:
                        return None
                    self._head += data
                    # A peer that sends more before the answer does not speak the protocol.
                    if self._head.find(_END) not in {-1, len(self._head) - len(_END)}:
                        return None
                    # Asterisk's request has none; the library fails with its own text on such a header.
                    if not data.isascii():
                        return None
                    self.protocol.receive_data(data)
                    for event in self.protocol.events_received():
                        return event if isinstance(event, Request) else None
                    if self.protocol.handshake_exc is not None:
                        return None
        except (OSError, TimeoutError):
            return None

    async def answer(self, request: Request, refusal: WebsocketRefusal | None = None) -> bool:
        """Accept or refuse the websocket; returns whether it was accepted."""
        if refusal is None:
            response = self.protocol.accept(request)
        else:
            response = self.protocol.reject(refusal.status, f"{refusal.status.phrase}\n")
            response.headers.update(refusal.headers)
        self.protocol.send_response(response)
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                data = b"".join(self.protocol.data_to_send())
                await asyncio.get_running_loop().sock_sendall(self.connection, data)
        except (OSError, TimeoutError):
            return False
        return self.protocol.state is State.OPEN


class WebSocket:
    """An open websocket. It reads as soon as bytes come; `receive` returns them.

    `heartbeat_s`: how often the other side is pinged; half of it without a byte ends the connection.
    """

    def __init__(
        self, connection: socket.socket, protocol: _Protocol, ring: Ring, *, heartbeat_s: float
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._messages: deque[WebsocketMessage] = deque()
        self._fragments: list[bytes] = []
        self._arrived = asyncio.Event()
        self._unsent = bytearray()
        self._heartbeat_s = heartbeat_s
        self._heard = False
        self._timer: asyncio.TimerHandle | None = None
        self._over: WebsocketMessage | None = None
        self.ended = asyncio.Event()
        """Set once the connection is closed."""

    @classmethod
    def opened(cls, handshake: Handshake, ring: Ring, *, heartbeat_s: float) -> WebSocket:
        """The websocket after a handshake; its bytes are in the ring from the beginning."""
        protocol = handshake.protocol
        protocol.fed = ring.read
        websocket = cls(handshake.connection, protocol, ring, heartbeat_s=heartbeat_s)
        websocket._start()
        return websocket

    @classmethod
    def resumed(
        cls, connection: socket.socket, unread: bytes, ring: Ring, *, heartbeat_s: float, max_bytes: int
    ) -> WebSocket:
        """The websocket of an earlier process: its first messages are in `unread`."""
        protocol = _Protocol(State.OPEN, max_bytes)
        protocol.fed = ring.read - len(unread)
        websocket = cls(connection, protocol, ring, heartbeat_s=heartbeat_s)
        if unread:
            websocket._feed(unread)
        websocket._start()
        return websocket

    def _start(self) -> None:
        if self._over is None:
            self._loop.add_reader(self._connection, self._readable)
            self._timer = self._loop.call_later(self._heartbeat_s, self._beat)

    @property
    def close_code(self) -> int | None:
        received = self._protocol.close_rcvd
        return None if received is None else received.code

    async def receive(self) -> WebsocketMessage:
        """The next message; at the end, for ever the last one, which is not TEXT."""
        while not self._messages:
            if self._over is not None:
                return self._over
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages.popleft()

    async def send_str(self, data: str) -> None:
        """Raises ConnectionResetError if the connection is over."""
        if self._protocol.state is not State.OPEN:
            message = "the websocket is closed"
            raise ConnectionResetError(message)
        self._protocol.send_text(data.encode())
        self._send()

    def pause_reading(self) -> None:
        """Leave what comes to the kernel for a moment."""
        if self._over is None:
            self._loop.remove_reader(self._connection)

    def resume_reading(self) -> None:
        """Read again."""
        if self._over is None:
            self._loop.add_reader(self._connection, self._readable)

    def say_goodbye(self, code: int = _GOING_AWAY) -> None:
        """Ask for the end: messages sent before the answer still come."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._send()

    async def close(self) -> None:
        """Ask for the end, and enforce it if the other side is silent."""
        self.say_goodbye(_NORMAL)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.ended.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._end(aiohttp.WSMsgType.CLOSED)

    def _readable(self) -> None:
        try:
            data = self._ring.receive(self._connection)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(aiohttp.WSMsgType.ERROR, error)
            return
        self._heard = True
        if data:
            self._feed(data)
        else:
            self._protocol.receive_eof()
            self._send()
            self._end(aiohttp.WSMsgType.CLOSED)

    def _feed(self, data: bytes | memoryview) -> None:
        protocol = self._protocol
        protocol.fed += len(data)
        # This only appends them to its own buffer.
        protocol.receive_data(data)  # type: ignore[arg-type]
        protocol.events_received()
        while protocol.ends:
            frame, end = protocol.ends.popleft()
            data = bytes(frame.data)
            if frame.opcode is not Opcode.TEXT or not frame.fin:
                if frame.opcode not in _OF_MESSAGES:
                    continue
                self._fragments.append(data)
                if not frame.fin:
                    if len(self._fragments) >= FRAGMENTS_LIMIT:
                        self._end(aiohttp.WSMsgType.ERROR, ConnectionError("a message that does not end"))
                        self._fragments.clear()
                        break
                    continue
                data = b"".join(self._fragments)
                self._fragments.clear()
            self._messages.append(WebsocketMessage(aiohttp.WSMsgType.TEXT, data, end))
        self._arrived.set()
        self._send()
        if len(self._unsent) > UNSENT_LIMIT:
            self._end(aiohttp.WSMsgType.ERROR, ConnectionError("it asks without reading any answer"))
        if protocol.parser_exc is not None:
            self._end(aiohttp.WSMsgType.ERROR, protocol.parser_exc)
        elif protocol.eof_sent:
            self._end(aiohttp.WSMsgType.CLOSED)

    def _send(self) -> None:
        """Write the pending bytes. A frame that is begun has to be ended by this process."""
        for data in self._protocol.data_to_send():
            self._unsent += data
        if self._over is None and self._unsent:
            self._ring.torn = True
            self._writable()

    def _writable(self) -> None:
        try:
            sent = self._connection.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._end(aiohttp.WSMsgType.ERROR, error)
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._connection, self._writable)
        else:
            self._loop.remove_writer(self._connection)
            self._ring.torn = False

    def _beat(self) -> None:
        self._heard = False
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._send()
        if self._over is None:
            self._timer = self._loop.call_later(self._heartbeat_s / 2, self._deaf)

    def _deaf(self) -> None:
        if not self._heard:
            self._end(aiohttp.WSMsgType.ERROR, TimeoutError("no answer to the heartbeat"))
        else:
            self._timer = self._loop.call_later(self._heartbeat_s / 2, self._beat)

    def _end(self, kind: aiohttp.WSMsgType, why: BaseException | None = None) -> None:
        if self._over is not None:
            return
        self._over = WebsocketMessage(kind, why, self._ring.read)
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        self.ended.set()
        self._arrived.set()

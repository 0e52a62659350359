"""The server's side of a websocket; the other is aiohttp's, or bytes by hand."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import aiohttp
import pytest

from callsteward.ari import websocket as module
from callsteward.ari.listener import listening
from callsteward.ari.ring import Ring
from callsteward.ari.websocket import Handshake, WebSocket, WebsocketRefusal
from callsteward.network.gate import Guest
from tests.lab.ports import free_port

MAX_BYTES = 200_000
UPGRADE = (
    b"GET /ari HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: ari\r\n\r\n"
)


class Server:
    """Takes one websocket."""

    def __init__(self, *, heartbeat_s: float = 60, refusal: WebsocketRefusal | None = None) -> None:
        self.ring = Ring.new()
        self.port = free_port()
        self.opened: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()
        self.requests: list[object] = []
        self._heartbeat_s = heartbeat_s
        self._refusal = refusal

    async def serve(self, guest: Guest) -> None:
        assert guest.peer == "127.0.0.1"
        handshake = Handshake(guest.connection, max_bytes=MAX_BYTES)
        request = await handshake.request()
        self.requests.append(None if request is None else request.path)
        if request is None or not await handshake.answer(request, self._refusal):
            return
        self.ring.begin(1, handshake.consumed)
        one = WebSocket.opened(handshake, self.ring, heartbeat_s=self._heartbeat_s)
        self.opened.set_result(one)
        await one.ended.wait()


@asynccontextmanager
async def serving(**how):
    server = Server(**how)
    async with listening("127.0.0.1", server.port, server.serve):
        yield server
    if server.opened.done():
        server.opened.result().abort()
    server.ring.close()


@asynccontextmanager
async def talking(**how):
    """The server's websocket, and aiohttp's."""
    async with serving(**how) as server, aiohttp.ClientSession() as session:
        theirs = await session.ws_connect(
            f"http://127.0.0.1:{server.port}/ari", protocols=("ari",), autoping=False
        )
        yield await server.opened, theirs, server
        await theirs.close()


@asynccontextmanager
async def by_hand(**how):
    """The server, and a plain connection to it."""
    async with serving(**how) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        yield server, reader, writer
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def frame(head: int, payload: bytes) -> bytes:
    """As a client sends it; a mask of zeros changes nothing."""
    assert len(payload) < 126
    return bytes([head, 0x80 | len(payload)]) + bytes(4) + payload


async def test_messages_come_in_order_each_with_its_place():
    async with talking() as (ours, theirs, server):
        assert theirs.protocol == "ari"
        begun = server.ring.read
        for text in ("one", "x" * 300, "y" * 70_000):
            await theirs.send_str(text)
        found = [await ours.receive() for _ in range(3)]
        assert [message.data for message in found] == [b"one", b"x" * 300, b"y" * 70_000]
        assert [message.position - begun for message in found] == [9, 9 + 308, 9 + 308 + 70_014]
        await ours.send_str("answer")
        assert (await theirs.receive()).data == "answer"
        assert not server.ring.torn


async def test_a_message_in_pieces_is_one_and_ends_where_the_last_ends():
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        begun = server.ring.read
        for part in (frame(0x01, b"one "), frame(0x89, b"still there?"), frame(0x80, b"message")):
            writer.write(part)
        ours = await server.opened
        message = await ours.receive()
        assert (message.data, message.position) == (b"one message", server.ring.read)
        assert server.ring.read - begun == 10 + 18 + 13
        assert await reader.readexactly(14) == b"\x8a\x0cstill there?"


async def test_asterisks_goodbye_is_answered():
    async with talking() as (ours, theirs, _):
        await theirs.send_str("last")
        await theirs.close(code=1001)
        assert (await ours.receive()).data == b"last"
        for _ in range(2):
            assert (await ours.receive()).type is aiohttp.WSMsgType.CLOSED
        assert ours.close_code == 1001
        with pytest.raises(ConnectionResetError):
            await ours.send_str("too late")


async def test_after_our_goodbye_events_before_the_answer_are_read():
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        ours = await server.opened
        ours.say_goodbye()
        ours.say_goodbye()
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe9"
        writer.write(frame(0x81, b"before") + frame(0x88, b"\x03\xe9"))
        assert (await ours.receive()).data == b"before"
        assert (await ours.receive()).type is aiohttp.WSMsgType.CLOSED


async def test_a_close_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.05)
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        ours = await server.opened
        await ours.close()
        assert ours.ended.is_set()
        await ours.close()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"\x81\x03one", "incorrect masking"),
        (frame(0x83, b"?"), "invalid opcode"),
        (b"\x81\xff" + (300_000).to_bytes(8, "big") + bytes(4), "exceeds limit"),
        (frame(0x80, b"of nothing"), "unexpected continuation"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_disconnected(sent: bytes, why: str):
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        ours = await server.opened
        writer.write(frame(0x81, b"well") + sent)
        assert (await ours.receive()).data == b"well"
        message = await ours.receive()
        assert message.type is aiohttp.WSMsgType.ERROR
        assert why in str(message.data)


async def test_a_connection_that_just_ends_is_over():
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        ours = await server.opened
        writer.close()
        assert (await ours.receive()).type is aiohttp.WSMsgType.CLOSED
        assert ours.close_code is None


async def test_a_connection_that_is_reset_is_an_error():
    async with serving() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as theirs:
            theirs.sendall(UPGRADE)
            ours = await server.opened
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        message = await ours.receive()
        assert message.type is aiohttp.WSMsgType.ERROR
        assert isinstance(message.data, ConnectionResetError)


async def test_a_peer_that_does_not_answer_the_heartbeat_is_given_up():
    async with talking(heartbeat_s=0.1) as (ours, theirs, _):
        for _ in range(2):
            assert (await theirs.receive()).type is aiohttp.WSMsgType.PING
            # Any byte is a sign of life.
            await theirs.send_str("here")
            assert (await ours.receive()).data == b"here"
        message = await ours.receive()
        assert message.type is aiohttp.WSMsgType.ERROR
        assert isinstance(message.data, TimeoutError)


async def test_while_a_request_is_half_written_no_other_process_may_go_on():
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        ours = await server.opened
        for _ in range(200):
            await ours.send_str("x" * 100_000)
        assert server.ring.torn
        left = 200 * 100_010
        while left:
            left -= len(await reader.read(min(left, 1 << 20)))
        async with asyncio.timeout(60):
            while server.ring.torn:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "asked",
    [
        b"hello\r\n\r\n",
        b"POST /ari HTTP/1.1\r\n\r\n",
        UPGRADE + b"too soon",
        UPGRADE + frame(0x81, b"too soon"),
        b"GET /" + b"a" * 10_000,
    ],
)
async def test_a_request_without_an_upgrade_gets_no_websocket(asked: bytes):
    async with by_hand() as (server, reader, writer):
        writer.write(asked)
        assert await reader.read() == b""
        assert server.requests == [None]


async def test_a_silent_peer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "HANDSHAKE_TIMEOUT_S", 0.05)
    async with by_hand() as (server, reader, _):
        assert await reader.read() == b""
        assert server.requests == [None]


async def test_a_refusal_says_why():
    refusal = WebsocketRefusal(HTTPStatus.UNAUTHORIZED, (("WWW-Authenticate", "Basic"),))
    async with by_hand(refusal=refusal) as (_, reader, writer):
        writer.write(UPGRADE)
        said = await reader.read()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"WWW-Authenticate: Basic" in head
    assert body == b"Unauthorized\n"


async def test_a_malformed_upgrade_is_a_bad_request():
    async with by_hand() as (_, reader, writer):
        writer.write(b"GET /ari HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 426 ")


async def test_from_the_end_of_any_message_the_next_process_reads_the_following_ones():
    stream, texts = b"", []
    for number in range(40):
        text = f"{number} {'x' * (number * 7 % 110)}".encode()
        texts.append(text)
        if number % 3:
            stream += frame(0x81, text)
        else:
            stream += frame(0x01, text[:1]) + frame(0x89, b"") + frame(0x00, b"") + frame(0x80, text[1:])
        stream += frame(0x8A, b"pong") if number % 4 == 0 else b""
    places = [0]
    for after in range(41):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        ring = Ring.new()
        ring.begin(1, len(stream))
        begun = ring.read - len(stream)
        with theirs:
            unread = stream[places[after] - begun if after else 0 :]
            one = WebSocket.resumed(ours, unread, ring, heartbeat_s=60, max_bytes=MAX_BYTES)
            found = [await one.receive() for _ in texts[after:]]
            assert [message.data for message in found] == texts[after:]
            if not after:
                places += [message.position for message in found]
            theirs.sendall(frame(0x81, b"and on"))
            assert (await one.receive()).data == b"and on"
            one.abort()
        ring.close()


@asynccontextmanager
async def upgraded():
    """A plain connection that has become a websocket."""
    async with by_hand() as (server, reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        yield await server.opened, reader, writer


async def until_ended(one: WebSocket, writer: asyncio.StreamWriter, flood: bytes, most: int) -> None:
    """Send a flood until the other side ends the connection, or the limit of bytes is sent."""
    sent = 0
    with suppress(ConnectionError):
        while not one.ended.is_set() and sent < most:
            writer.write(flood)
            sent += len(flood)
            try:
                async with asyncio.timeout(0.2):
                    await writer.drain()
            except TimeoutError:
                # Nobody reads: it is the event loop's turn.
                await asyncio.sleep(0.01)


async def test_pings_by_a_peer_that_reads_no_answers_cost_no_memory():
    async with upgraded() as (one, _reader, writer):
        # Nothing is read here: answers fill the socket, then wait in memory.
        writer.transport.pause_reading()
        await until_ended(one, writer, frame(0x89, b"p" * 125) * 500, 80_000_000)
        assert len(one._unsent) <= module.UNSENT_LIMIT + 200_000
        async with asyncio.timeout(60):
            await one.ended.wait()


async def test_a_flood_of_empty_fragments_ends_the_connection():
    async with upgraded() as (one, _reader, writer):
        writer.write(frame(0x01, b"{"))
        await until_ended(one, writer, frame(0x00, b"") * 2_000, 20_000_000)
        assert one.ended.is_set()
        assert len(one._fragments) <= module.FRAGMENTS_LIMIT
        message = await one.receive()
        assert message.type is aiohttp.WSMsgType.ERROR


async def test_a_message_in_some_fragments_is_one():
    async with upgraded() as (one, _reader, writer):
        writer.write(frame(0x01, b"{") + frame(0x00, b"") + frame(0x80, b"}"))
        message = await one.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.TEXT, b"{}")


async def test_a_compressed_frame_that_nobody_agreed_on_ends_the_connection():
    async with upgraded() as (one, reader, writer):
        writer.write(frame(0x80 | 0x40 | 0x01, b"\xabV*."))
        message = await one.receive()
        assert message.type is aiohttp.WSMsgType.ERROR
        # 1002: a protocol error.
        assert (await reader.read())[2:4] == (1002).to_bytes(2, "big")


async def test_a_flood_of_pings_is_answered_and_the_loop_has_its_turns():
    async with upgraded() as (one, reader, writer):
        longest, before = 0.0, asyncio.get_running_loop().time()
        received = 0
        for _ in range(100):
            writer.write(frame(0x89, b"p" * 100) * 500)
            await writer.drain()
            received += len(await reader.read(200_000))
            now = asyncio.get_running_loop().time()
            longest, before = max(longest, now - before), now
        assert received
        assert longest < 1
        assert not one.ended.is_set()

"""Bytes sent to the port on which the daemon waits for Asterisk, before there is a websocket."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Iterator
from typing import Any, cast

from pydantic import SecretStr

from callsteward.ari.census import Census
from callsteward.ari.frames import FrameQueue
from callsteward.ari.keeper import Keeper
from callsteward.ari.outbound import OutboundLink
from callsteward.ari.websocket import Handshake
from callsteward.config import Asterisk, Config
from callsteward.health import Counters
from callsteward.notify import Notify
from tests.fuzz.target import Target

_SECRET = "a secret of the fuzzer"
_CONFIG = Config(asterisk=Asterisk(connect="outbound", password=SecretStr(_SECRET)))
_LOGIN = base64.b64encode(f"callsteward:{_SECRET}".encode())
# What a socket holds without anybody reading.
_MOST = 100_000


def _handshake(data: bytes) -> None:
    asyncio.run(_shaken(data))


async def _shaken(data: bytes) -> None:
    near, far = socket.socketpair()
    keeper = Keeper(Notify(""), {})
    link = OutboundLink(
        _CONFIG,
        FrameQueue(Counters()),
        Census(),
        session=cast("Any", None),
        on_change=lambda *_: None,
        keeper=keeper,
    )
    with near, far:
        near.setblocking(False)
        far.sendall(data[:_MOST])
        far.shutdown(socket.SHUT_WR)
        handshake = Handshake(near, max_bytes=10_000)
        request = await handshake.request()
        if request is not None:
            refusal = link._refusal(request, "192.0.2.1")
            opened = await handshake.answer(request, refusal)
            answer = far.recv(_MOST)
            assert answer.startswith(b"HTTP/1.1 ")
            # Nothing is opened but to who has the password, and nothing of theirs is in an answer's head.
            assert not opened or (refusal is None and _LOGIN in data)
            assert opened == answer.startswith(b"HTTP/1.1 101 ")
            assert _SECRET.encode() not in answer
        assert handshake.consumed <= len(data)
    keeper.close()


def _seeds() -> Iterator[bytes]:
    for login, more in (
        (_LOGIN, b""),
        (b"d3Jvbmc=", b""),
        (_LOGIN, b"Authorization: Basic Og==\r\n"),
        (_LOGIN, b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        (_LOGIN, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ):
        yield (
            b"GET /ari HTTP/1.1\r\nHost: 127.0.0.1:8087\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: ari\r\nAuthorization: Basic " + login + b"\r\n" + more + b"\r\n"
        )
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60)
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


TARGETS = {"handshake": Target(_handshake, _seeds, 4_000, 0.01)}

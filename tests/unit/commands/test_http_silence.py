"""[web] against clients that send nothing, half a request, or no HTTP; over real sockets."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import structlog
from pydantic import SecretStr

from callsteward.config import Web
from callsteward.store.records import Store
from callsteward.web import connection as connection_module
from callsteward.web import server as server_module
from callsteward.web.server import HttpDoor
from tests.lab.ports import free_port
from tests.unit.tags.desk import FrontDesk

TOKEN = "a token nobody guesses"
HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
SILENCE_S = 0.6


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(connection_module, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(server_module, "BODY_S", SILENCE_S)


@asynccontextmanager
async def open_door(store: Store) -> AsyncIterator[int]:
    desk = FrontDesk(store)
    port = free_port()
    desk.config = desk.config.model_copy(update={"web": Web(enabled=True, port=port, token=SecretStr(TOKEN))})
    opened = asyncio.Event()
    task = asyncio.create_task(HttpDoor(desk.config, desk.commands, ready=desk.ready).run(opened.set))
    async with asyncio.timeout(60):
        await opened.wait()
    try:
        yield port
    finally:
        task.cancel()
        await asyncio.wait({task})


async def answered(port: int, said: bytes) -> tuple[bytes, float]:
    """All bytes until the connection ends, and the seconds until then."""
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        writer.write(said)
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                heard = await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return heard, asyncio.get_running_loop().time() - began


def post(body: bytes, more: str = "", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"POST /api/v1/dnc HTTP/1.1\r\n{HEAD}{more}Content-Length: {length}\r\n\r\n".encode() + body


COMMAND = json.dumps({"id": "a", "action": "remove", "number": "+7 903 123-45-67"}).encode()


@pytest.mark.parametrize("said", [b"", b"POST /api/v1/dnc HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_without_a_request_is_closed(store: Store, said: bytes) -> None:
    async with open_door(store) as port:
        heard, seconds = await answered(port, said)
    assert heard == b""
    assert seconds >= SILENCE_S


async def test_a_head_that_crawls_is_hung_up_on(store: Store) -> None:
    """Each byte comes in time, the request does not."""
    async with open_door(store) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = asyncio.get_running_loop().time()
        with suppress(ConnectionError):
            for byte in b"GET /metrics HTTP/1.1\r\n" + b"X-A: b\r\n" * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
                if reader.at_eof():
                    break
        # All of it would take 40 s.
        assert asyncio.get_running_loop().time() - began < 30
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_a_body_that_does_not_come_is_answered_and_hung_up_on(store: Store) -> None:
    async with open_door(store) as port:
        heard, seconds = await answered(port, post(COMMAND[:10], length=len(COMMAND)))
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert seconds >= SILENCE_S


async def test_a_connection_kept_alive_ends_with_its_silence(store: Store) -> None:
    async with open_door(store) as port:
        heard, seconds = await answered(port, post(COMMAND) * 2)
    assert heard.count(b"HTTP/1.1 200 ") == 2
    assert seconds >= SILENCE_S


async def test_a_crowd_that_is_silent_keeps_no_command_out(store: Store) -> None:
    async with open_door(store) as port:
        with structlog.testing.capture_logs() as logs:
            crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
            heard, _ = await answered(port, post(COMMAND, "Connection: close\r\n"))
            assert heard.startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(SILENCE_S + 0.5)
            for _, writer in crowd:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    said = sorted(entry["action"] for entry in logs)
    # If it takes long until all have connected, the first ones have been silent for too long by then.
    assert said in (["command", "gate_silent"], ["command", "gate_silent", "web_silent"])


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ("Content-Encoding: deflate\r\n", b"rubbish"),
        ("Content-Encoding: gzip\r\n", b"\x1f\x8brubbish"),
        ("Content-Encoding: deflate\r\n", zlib.compress(COMMAND)[:-6]),
    ],
)
async def test_a_body_with_a_wrong_encoding_is_the_senders_mistake(
    store: Store, more: str, body: bytes
) -> None:
    async with open_door(store) as port:
        with structlog.testing.capture_logs() as logs:
            heard, _ = await answered(port, post(body, more))
    assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert not [entry for entry in logs if "exc_info" in entry]


async def test_a_broken_chunked_body_is_the_senders_mistake(store: Store) -> None:
    said = f"POST /api/v1/dnc HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\nrubbish\r\n".encode()
    async with open_door(store) as port:
        heard, _ = await answered(port, said)
    assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))


async def test_a_request_that_is_not_http_makes_one_log_line_and_no_traceback(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_door(store) as port:
        with structlog.testing.capture_logs() as logs:
            for _ in range(50):
                heard, _ = await answered(port, b"GET / HTTP/1.1\r\nno header at all\r\n\r\n")
                assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
                await answered(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert not [record for record in caplog.records if record.exc_info]
    assert 1 <= len([entry for entry in logs if entry["action"] == "web_malformed"]) <= 2

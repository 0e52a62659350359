"""A broker whose TLS handshake crawls, a byte at a time: the daemon gives up, and can stop at any time."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

import aiomqtt
import pytest

from callsteward.config import Config, Mqtt
from callsteward.feed import broker, broker_client
from tests.lab.ports import free_port

# A record of 16 KB has begun, with a message in it that goes on.
HELLO = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(1_000)


# paho leaves the socket of a handshake that failed to the collector of garbage.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_a_handshake_that_crawls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_client, "CONNECT_S", 1.0)
    port = free_port()
    before = set(threading.enumerate())
    crawling: set[asyncio.Task[None] | None] = set()

    async def crawl(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        crawling.add(asyncio.current_task())
        await reader.read(4_000)
        with suppress(ConnectionError):
            for byte in HELLO:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(crawl, "127.0.0.1", port)
    config = Config(mqtt=Mqtt(host="127.0.0.1", port=port, tls=True))
    began = time.monotonic()
    with pytest.raises(aiomqtt.MqttError):
        async with broker.connected(broker.client(config, identifier="x")):
            pass
    # All its bytes would take it 50 s.
    assert time.monotonic() - began < 25
    # After giving up, the daemon does not wait, and the thread ends by itself.
    connecting = asyncio.create_task(broker.connected(broker.client(config, identifier="x")).__aenter__())
    await asyncio.sleep(0.2)
    connecting.cancel()
    await asyncio.wait({connecting})
    assert broker._abandoned
    async with asyncio.timeout(60):
        while broker._abandoned:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    server.close()
    await server.wait_closed()
    async with asyncio.timeout(60):
        await asyncio.gather(*(task for task in crawling if task is not None))
    assert broker_client.CONNECT_S == 1.0
    # Idle threads of the event loop's own pool connect the next client.
    assert not [thread for thread in set(threading.enumerate()) - before if "asyncio" not in thread.name]


def test_a_connection_takes_no_longer_than_a_stop_may() -> None:
    """The thread that connects cannot be interrupted, and the process waits for it."""
    assert broker_client.CONNECT_S < 4.8

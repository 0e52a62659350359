import asyncio
import socket

import pytest

from callsteward.ari import listener
from callsteward.ari.listener import listening
from callsteward.network.gate import Bounds, CannotListenError, Guest
from tests.lab.ports import free_port


async def test_no_more_connections_than_the_limit_are_held(monkeypatch):
    monkeypatch.setattr(listener, "BOUNDS", Bounds(most=2, most_of_one=2))
    port = free_port()
    held: list[socket.socket] = []

    async def hold(guest: Guest) -> None:
        guest.busy = True
        held.append(guest.connection)
        await asyncio.Event().wait()

    async with listening("127.0.0.1", port, hold):
        ends = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert await ends[2][0].read() == b""
        assert len(held) == 2
    for reader, writer in ends:
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_one_connection_that_fails_is_no_harm_to_the_next(caplog):
    port = free_port()
    failures = iter([True, False])

    async def serve(guest: Guest) -> None:
        if next(failures):
            raise ZeroDivisionError
        await asyncio.get_running_loop().sock_sendall(guest.connection, b"fine")

    async with listening("127.0.0.1", port, serve):
        said = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            said.append(await reader.read())
            writer.close()
            await writer.wait_closed()
    assert said == [b"", b"fine"]


async def test_a_name_is_listened_on_at_all_its_addresses():
    port = free_port()

    async def serve(guest: Guest) -> None:
        await asyncio.get_running_loop().sock_sendall(guest.connection, guest.peer.encode())

    async with listening("localhost", port, serve):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"127.0.0.1"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
async def test_an_address_that_is_not_ours_is_named(host: str):
    with pytest.raises(CannotListenError, match=rf"\[asterisk\]: cannot listen on {host} port 8087"):
        async with listening(host, 8087, lambda *_: asyncio.sleep(0)):
            pass

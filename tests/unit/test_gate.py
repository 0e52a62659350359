"""The gate before every port: bounds in all and by address, silence, the last descriptors, errors."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import structlog

from callsteward.network import gate as gate_module
from callsteward.network.gate import Bounds, CannotListenError, Guest, gate
from tests.lab.ports import free_port

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class House:
    """Serves: who says something is busy until it leaves."""

    def __init__(self) -> None:
        self.port = free_port()
        self.guests: list[Guest] = []

    async def serve(self, guest: Guest) -> None:
        self.guests.append(guest)
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(guest.connection, 100):
                guest.busy = True
                await loop.sock_sendall(guest.connection, data)
        finally:
            self.guests.remove(guest)


async def ask(ends: Ends, said: bytes = b"x") -> bytes:
    ends[1].write(said)
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            return await ends[0].read(100)
    return b""


async def leave(*all_ends: Ends) -> None:
    for _, writer in all_ends:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def open_house(most: int, most_of_one: int, refusal: bytes = b"") -> AsyncIterator[House]:
    house = House()
    async with gate("house", "127.0.0.1", house.port, house.serve, Bounds(most, most_of_one, refusal)):
        yield house


async def come(house: House, address: str = "127.0.0.1") -> Ends:
    return await asyncio.open_connection("127.0.0.1", house.port, local_addr=(address, 0))


async def test_a_crowd_that_is_silent_gives_way_to_who_asks() -> None:
    with structlog.testing.capture_logs() as logs:
        async with open_house(10, 10) as house:
            crowd = [await come(house) for _ in range(300)]
            guest = await come(house)
            assert await ask(guest) == b"x"
            assert len(house.guests) <= 10
            await leave(*crowd, guest)
    # One line when it begins, and no more within some seconds.
    assert [entry["action"] for entry in logs] == ["gate_silent"]


async def test_a_busy_guest_does_not_give_way_and_the_next_is_told_so() -> None:
    async with open_house(2, 2, b"no room") as house:
        busy = [await come(house) for _ in range(2)]
        assert [await ask(ends) for ends in busy] == [b"x", b"x"]
        refused = await come(house)
        assert await refused[0].read() == b"no room"
        assert [await ask(ends) for ends in busy] == [b"x", b"x"]
        await leave(*busy, refused)


async def test_one_address_does_not_take_the_room_of_all() -> None:
    async with open_house(4, 2) as house:
        ones = [await come(house, "127.0.0.2") for _ in range(2)]
        assert [await ask(ends) for ends in ones] == [b"x", b"x"]
        third = await come(house, "127.0.0.2")
        assert await ask(third) == b""
        other = await come(house, "127.0.0.3")
        assert await ask(other) == b"x"
        await leave(*ones, third, other)


def _free_number(place: int) -> int:
    """The number of the descriptor that is opened after `place` others."""
    used = {int(file.name) for file in Path("/proc/self/fd").iterdir()}
    return [number for number in range(5_000) if number not in used][place]


async def test_the_last_descriptors_are_nobody_s_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = _free_number(100)
    monkeypatch.setattr(gate_module, "RESERVE", 20)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (limit, limit))
    with structlog.testing.capture_logs() as logs:
        async with open_house(1_000, 1_000) as house:
            # Both ends of each are in this process.
            ends = [await come(house) for _ in range(120)]
            async with asyncio.timeout(60):
                while not logs or len(house.guests) <= 10:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            held = [guest.connection.fileno() for guest in house.guests]
            await leave(*ends)
    assert 10 < len(held) < 120
    assert max(held) < limit - 20
    assert [(entry["action"], entry["reason"]) for entry in logs] == [
        ("gate_full", "house: the process has few descriptors left")
    ]


async def test_errors_of_accept_neither_spin_nor_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    async def no_descriptor(_socket: socket.socket) -> None:
        nonlocal tries
        tries += 1
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(gate_module, "_RETRY_S", 0.05)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", no_descriptor)
    began = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        async with open_house(10, 10), asyncio.timeout(60):
            while tries < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert tries <= (time.monotonic() - began) / 0.05 + 2
    assert [entry["action"] for entry in logs] == ["gate_accept"]


async def test_a_taken_port_is_said_in_the_system_s_words() -> None:
    async with open_house(1, 1) as house:
        with pytest.raises(CannotListenError, match=r"^Address already in use$"):
            async with gate("twice", "127.0.0.1", house.port, house.serve, Bounds(1, 1)):
                pass

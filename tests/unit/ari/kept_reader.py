"""A process that reads a websocket and may be killed anywhere: what it has, it writes into a file.

Arguments: the port to listen on, the file, and after how many lines of the modules under test it is to be
killed by its own hand (0: not at all).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp

from callsteward.ari import keeper as keeper_module
from callsteward.ari import ring, websocket
from callsteward.ari.keeper import Keeper
from callsteward.ari.listener import listening
from callsteward.ari.websocket import Handshake, WebSocket
from callsteward.network.gate import Guest
from callsteward.notify import Notify, handed_down

TRACED = {module.__file__ for module in (ring, websocket, keeper_module)}


def die_after(lines: int) -> None:
    left = lines

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


async def read(one: WebSocket, keeper: Keeper, file: int, seen: set[bytes], resumed_to: int) -> None:
    while True:
        message = await one.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        name = message.data.partition(b" ")[0]
        if message.position > resumed_to or name not in seen:
            os.write(file, name + b"\n")
        keeper.done(message.position)


async def main(port: int, path: Path, lines: int) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    seen = set(os.read(file, 1 << 20).split())
    keeper = Keeper(Notify(), handed_down())
    over = asyncio.Event()

    async def serve(guest: Guest) -> None:
        connection = guest.connection
        handshake = Handshake(connection, max_bytes=1 << 20)
        request = await handshake.request()
        assert request is not None
        assert await handshake.answer(request)
        keeper.begin(connection, handshake.consumed)
        if lines:
            die_after(lines)
        await read(WebSocket.opened(handshake, keeper.ring, heartbeat_s=60), keeper, file, set(), 0)
        over.set()

    if keeper.resumed is None:
        os.write(2, b"listens\n")
        async with listening("127.0.0.1", port, serve):
            await over.wait()
        return
    os.write(2, b"resumed\n")
    if lines:
        die_after(lines)
    connection, unread = keeper.resumed
    one = WebSocket.resumed(connection, unread, keeper.ring, heartbeat_s=60, max_bytes=1 << 20)
    await read(one, keeper, file, seen, keeper.ring.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))

"""Another ARI client with empty handlers, in the environment that `peers` made for it: nothing of ours.

`python peer.py NAME` says `ready`; then for each line `URL FRAMES` it takes the events there, and says how
many its handlers got and how much CPU time it needed, from the open websocket to the last event.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit


async def _aioari(url: str, frames: int) -> tuple[int, float]:
    import aioari.client
    import aiohttp

    handled = 0

    def handler(_event: dict[str, Any]) -> None:
        nonlocal handled
        handled += 1

    async with aiohttp.ClientSession() as session:

        async def websocket(**_: str) -> Any:
            opened = await session.ws_connect(url, max_msg_size=0)
            began.append(time.process_time())
            return opened

        began: list[float] = []
        # Made without its description of Asterisk's interface, which it would ask the server for.
        client = aioari.client.Client.__new__(aioari.client.Client)
        client.swagger = SimpleNamespace(events=SimpleNamespace(eventWebsocket=websocket))
        client.repositories, client.event_listeners, client.websockets = {}, {}, set()
        client.exception_handler = _fail
        client.on_event("*", handler)
        await client.run("callsteward")
        return handled, time.process_time() - began[0]


class _UntilItEnds:
    """The websocket of ari-client, which would ask a closed one for messages for ever."""

    def __init__(self, socket: Any, closed: type[Exception]) -> None:
        self._socket = socket
        self._closed = closed
        self.over = asyncio.Event()

    async def recv(self) -> Any:
        try:
            return await self._socket.recv()
        except self._closed:
            self.over.set()
            await asyncio.Event().wait()

    async def close(self) -> None:
        await self._socket.close()


async def _ari_client(url: str, frames: int) -> tuple[int, float]:
    from ari_client import AriClient, EventType
    from websockets.exceptions import ConnectionClosed

    handled = 0
    done = asyncio.Event()

    async def handler(_event: Any) -> None:
        nonlocal handled
        handled += 1
        if handled == frames:
            done.set()

    place = urlsplit(url)
    client = AriClient(place.hostname, place.port, "name", "password")
    for kind in EventType:
        client.on_event(kind)(handler)
    await client.connect("callsteward")
    began_s = time.process_time()
    client.ws = _UntilItEnds(client.ws, ConnectionClosed)
    await asyncio.wait(
        [asyncio.ensure_future(done.wait()), asyncio.ensure_future(client.ws.over.wait())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    await asyncio.sleep(0)
    spent_s = time.process_time() - began_s
    await client.disconnect()
    return handled, spent_s


def _fail(error: Exception) -> None:
    raise error


def main() -> None:
    if sys.argv[1] == "aioari":
        import aioari.client  # noqa: F401

        take = _aioari
    else:
        import ari_client  # noqa: F401

        take = _ari_client
    logging.disable(logging.CRITICAL)
    print("ready", flush=True)
    for line in sys.stdin:
        url, frames = line.split()
        handled, spent_s = asyncio.run(take(url, int(frames)))
        print(handled, spent_s, flush=True)


if __name__ == "__main__":
    main()

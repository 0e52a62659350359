"""Listening for connections whose sockets are to be had: asyncio's servers keep theirs to themselves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from callsteward.ari.link import cancelled
from callsteward.exceptions import AriError

log = structlog.get_logger(__name__)

# Of Asterisk there is one, and one that it has forgotten.
MAX_CONNECTIONS = 64
_BACKLOG = 16
_RETRY_S = 0.5

Serve = Callable[[socket.socket, str], Awaitable[None]]
"""Has a connection, which it is to close, and who made it."""


@asynccontextmanager
async def listening(host: str, port: int, serve: Serve) -> AsyncIterator[None]:
    """Serve what connects until the context ends, which cancels it.

    Raises AriError if the port cannot be had.
    """
    async with AsyncExitStack() as stack:
        doors = [stack.enter_context(door) for door in await _doors(host, port)]
        connections: set[asyncio.Task[None]] = set()
        for door in doors:
            accepting = asyncio.create_task(_accept(door, serve, connections), name="ari-listener")
            stack.push_async_callback(cancelled, accepting)
        try:
            yield
        finally:
            for connection in tuple(connections):
                await cancelled(connection)


async def _doors(host: str, port: int) -> list[socket.socket]:
    doors: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            doors.append(socket.create_server(address, family=family, backlog=_BACKLOG))
            doors[-1].setblocking(False)
    except OSError as error:
        for door in doors:
            door.close()
        message = (
            f"cannot listen on {host}:{port} for Asterisk ({error.strerror}):"
            " is asterisk.listen_port taken, by another daemon?"
        )
        raise AriError(message) from error
    return doors


async def _accept(door: socket.socket, serve: Serve, connections: set[asyncio.Task[None]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, peer = await loop.sock_accept(door)
        except OSError as error:
            log.warning("cannot take a connection", action="ari_accept", error=str(error))
            await asyncio.sleep(_RETRY_S)
            continue
        if len(connections) >= MAX_CONNECTIONS:
            connection.close()
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(_served(serve, connection, str(peer[0])), name="ari-connection")
        connections.add(task)
        task.add_done_callback(connections.discard)


async def _served(serve: Serve, connection: socket.socket, peer: str) -> None:
    try:
        await serve(connection, peer)
    except Exception:
        log.exception("a connection failed: please report it", action="ari_connection_failed", peer=peer)
    finally:
        connection.close()

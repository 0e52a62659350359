"""A port of ours, and a limit for the connections that it takes at a time.

Every listener of the daemon is behind a gate. A silent socket costs a descriptor, and with the last one gone
the daemon could reach neither broker nor database. So each gate has a limit for all connections and one for
each address, and none gives away the process's last descriptors. When it is full, the connection that has
waited longest without a request gives way to the next one: silence keeps nobody out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import structlog

from callsteward.exceptions import CallstewardError
from callsteward.network.causes import told
from callsteward.network.tally import RefusalTally
from callsteward.network.waiting import cancelled

log = structlog.get_logger(__name__)

RESERVE = 128
"""Descriptors that no guest gets: for broker, database, journal, Asterisk."""
_BACKLOG = 128
_RETRY_S = 0.5


class CannotListenError(CallstewardError):
    """A port is not available at this moment; the message says which, and why."""


class Bounds(NamedTuple):
    """How many connections a gate holds: in all, and from one address."""

    most: int
    most_of_one: int
    refusal: bytes = b""
    """The answer to a connection for which there is no room."""


class Guest:
    """One connection. `busy`: it has made a request, and no longer gives way."""

    __slots__ = ("busy", "connection", "peer", "shown_out")

    def __init__(self, connection: socket.socket, peer: str) -> None:
        self.connection = connection
        self.peer = peer
        self.busy = False
        self.shown_out = False

    def show_out(self) -> None:
        """End the connection so that its server reads the end of the stream."""
        self.shown_out = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Serve = Callable[[Guest], Awaitable[None]]
"""Serves a connection until it is over; the gate closes it."""


@asynccontextmanager
async def gate(name: str, host: str, port: int, serve: Serve, bounds: Bounds) -> AsyncIterator[None]:
    """Serve each connection until the context ends, which cancels it. `name` is for log and tasks.

    Raises CannotListenError.
    """
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(listening) for listening in await _sockets(host, port)]
        guests = _Guests(name, serve, bounds)
        stack.push_async_callback(guests.leave)
        for listening in sockets:
            accepting = asyncio.create_task(guests.accept(listening), name=f"{name} gate")
            stack.push_async_callback(cancelled, accepting)
        yield


async def _sockets(host: str, port: int) -> list[socket.socket]:
    listening: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            listening.append(socket.create_server(address, family=family, backlog=_BACKLOG))
            listening[-1].setblocking(False)
    except OSError as error:
        for one in listening:
            one.close()
        # The system's own text: the socket module's repeats the address.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CannotListenError(why or str(error)) from error
    return listening


class _Guests:
    """The open connections, in the order of coming."""

    def __init__(self, name: str, serve: Serve, bounds: Bounds) -> None:
        self._name = name
        self._serve = serve
        self._bounds = bounds
        self._guests: dict[Guest, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tally = RefusalTally(log)

    async def accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as error:
                self._tally.note(
                    "cannot take a connection",
                    "gate_accept",
                    kind=self._name,
                    sender="system",
                    error=told(error, self._name),
                )
                await asyncio.sleep(_RETRY_S)
                continue
            self._arrived(Guest(connection, str(address[0])))

    async def leave(self) -> None:
        for task in tuple(self._tasks):
            await cancelled(task)

    def _arrived(self, guest: Guest) -> None:
        why = self._no_room(guest)
        if why:
            self._tally.note(
                "a connection is turned away",
                "gate_full",
                kind=f"{self._name}: {why}",
                sender=guest.peer,
            )
            with contextlib.suppress(OSError):
                guest.connection.send(self._bounds.refusal)
            guest.connection.close()
            return
        guest.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._guests[guest] = None
        task = asyncio.create_task(self._served(guest), name=f"{self._name} connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _no_room(self, guest: Guest) -> str:
        """The reason why there is no room, once the silent ones have given way; empty if there is room."""
        # A new descriptor has the lowest free number: all below this one are in use. A connection that was
        # closed still has its descriptor for a moment, and there may be many of these.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if guest.connection.fileno() >= most - min(RESERVE, most // 4):
            return "the process has few descriptors left"
        peers = [one for one in self._guests if one.peer == guest.peer]
        if len(peers) >= self._bounds.most_of_one and not self._gives_way(peers):
            return "too many from one address"
        if len(self._guests) >= self._bounds.most and not self._gives_way(self._guests):
            return "too many"
        return ""

    def _gives_way(self, among: dict[Guest, None] | list[Guest]) -> bool:
        for guest in among:
            if not guest.busy:
                del self._guests[guest]
                guest.show_out()
                self._tally.note(
                    "a silent connection gives way to the next one",
                    "gate_silent",
                    kind=self._name,
                    sender=guest.peer,
                )
                return True
        return False

    async def _served(self, guest: Guest) -> None:
        try:
            await self._serve(guest)
        except Exception:
            log.exception(
                "a connection failed: please report it",
                action="connection_failed",
                gate=self._name,
                peer=guest.peer,
            )
        finally:
            self._guests.pop(guest, None)
            guest.connection.close()

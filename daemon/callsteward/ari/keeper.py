"""A connection that outlives the process: systemd keeps it open, and the next process reads on.

Events that Asterisk writes to a socket whose process was killed are lost, and Asterisk itself may crash of it
(`graceful_close`). So the socket is left with systemd (`FileDescriptorStoreMax=` of the unit), together with
a ring that holds the bytes read last. The next process works off what the journal does not have, and reads on
where the kernel says that the earlier process stopped: Asterisk does not notice, and nothing is missing.

Without systemd the same is done, but nobody keeps the socket: a kill then ends the connection.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog

from callsteward.ari.ring import Ring
from callsteward.notify import Notify

log = structlog.get_logger(__name__)

SOCKET_NAME = "ari-socket"
RING_NAME = "ari-ring"

# linux/tcp.h and asm-generic/socket.h; Python's socket module names neither.
_SO_COOKIE = 57
_TCP_INFO_RECEIVED_AT = 128
_ESTABLISHED, _CLOSE_WAIT = 1, 8

# Between two processes the kernel has to hold the bytes that Asterisk writes. It gives a reader that keeps up
# no more than 128 KB, unless it is asked for more once; it takes the memory only if it is needed.
_ROOM_BYTES = 8 * 1024 * 1024

# How often two counts of the kernel are asked for until nothing comes in between them: microseconds each.
_TRIES = 10_000


class Resumed(NamedTuple):
    """The connection of the previous process."""

    connection: socket.socket
    unread: bytes
    """Bytes that the previous process read and may not have kept."""


class NoKeeper:
    """Of a daemon that makes its connection itself: nothing is kept."""

    def done(self, position: int) -> None:
        pass

    def close(self) -> None:
        pass


class Keeper:
    """Keeps the one connection. `handed_down`: the open files that systemd kept for this process."""

    def __init__(self, notify: Notify, handed_down: Mapping[str, Sequence[int]]) -> None:
        self._notify = notify
        self._kept = False
        files = [*handed_down.get(RING_NAME, ()), *handed_down.get(SOCKET_NAME, ())]
        found = _found(files) if len(files) == 2 else None
        self.resumed: Resumed | None = None
        if found is not None:
            self.ring, self.resumed = found
            self._kept = True
            return
        self.ring = Ring.new()
        if files:
            log.warning(
                "the kept connection cannot be continued: Asterisk dials again",
                action="ari_not_resumed",
            )
            for file in files:
                os.close(file)
            self._remove()

    def begin(self, connection: socket.socket, consumed: int) -> None:
        """Keep a new connection, of which `consumed` bytes were read already."""
        make_room(connection)
        self.ring.begin(_cookie(connection), consumed)
        self._kept = True
        self._notify.keep(RING_NAME, self.ring.file)
        self._notify.keep(SOCKET_NAME, connection.fileno())

    def forget(self) -> None:
        """The connection is over, or is to end with this process."""
        if self._kept:
            self._kept = False
            self._remove()

    @property
    def done_to(self) -> int:
        """The position up to which all bytes read are in the journal, or not needed."""
        return self.ring.done

    def done(self, position: int) -> None:
        """All bytes up to this position are in the journal, or not needed."""
        self.ring.done = position

    def close(self) -> None:
        self.forget()
        self.ring.close()

    def _remove(self) -> None:
        self._notify.release(SOCKET_NAME)
        self._notify.release(RING_NAME)


def _found(files: Sequence[int]) -> tuple[Ring, Resumed] | None:
    """The ring and the connection that were kept; None if they do not belong together. Closes neither."""
    ring_file, file = files
    ring = Ring.found(ring_file)
    if ring is None:
        return None
    connection: socket.socket | None = None
    try:
        connection = socket.socket(fileno=file)
        consumed = _consumed(connection)
        unread = None if consumed is None else ring.resume(_cookie(connection), consumed)
        if unread is not None:
            connection.setblocking(False)
            return ring, Resumed(connection, unread)
    except OSError:
        # It is not a TCP connection.
        pass
    if connection is not None:
        connection.detach()
    ring.unmap()
    return None


def _cookie(connection: socket.socket) -> int:
    """The kernel's id of this connection, unique while the kernel runs."""
    (cookie,) = struct.unpack("@Q", connection.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8))
    return int(cookie)


def _consumed(connection: socket.socket) -> int | None:
    """How many bytes were read off a connection by the kernel's count; None if it cannot say."""
    received = _received(connection)
    for _ in range(_TRIES):
        if received is None:
            return None
        (unread,) = struct.unpack("@i", fcntl.ioctl(connection, termios.FIONREAD, b"\0\0\0\0"))
        before, received = received, _received(connection)
        # Asterisk goes on writing: the two counts belong together if nothing came between them.
        if received == before:
            return before - int(unread)
    return None


def _received(connection: socket.socket) -> int | None:
    """How many bytes have come in on a connection; None if it is over, or the kernel cannot say."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    if len(info) < _TCP_INFO_RECEIVED_AT + 8 or info[0] not in {_ESTABLISHED, _CLOSE_WAIT}:
        return None
    (received,) = struct.unpack_from("@Q", info, _TCP_INFO_RECEIVED_AT)
    # The end of the stream counts as one.
    return int(received) - (info[0] == _CLOSE_WAIT)


def make_room(connection: socket.socket) -> None:
    """Have the kernel hold more for a reader that is away."""
    # The receive buffer grows with the mark at which a reader is woken, and stays large. SO_RCVBUF is bounded
    # by net.core.rmem_max, which is far smaller than TCP's own limit (net.ipv4.tcp_rmem).
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _ROOM_BYTES)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

"""The bytes read off a connection last, in memory that outlives the process.

The memory is a file that systemd keeps open (`keeper`). Positions count the bytes of all connections it has
served, so a position in an older connection is never taken for one in a newer. Each word of the head is
written by a single store, and their order makes a kill harmless: first the bytes, then how far they go.
"""

from __future__ import annotations

import mmap
import os
import socket

# Room for bytes that are read and not yet in the journal: two seconds at 2 MB/s, about 40 calls a second.
RING_BYTES = 4 * 1024 * 1024
# The most that is read at a time.
CHUNK_BYTES = 128 * 1024
_HEAD_BYTES = mmap.PAGESIZE
_MAGIC = int.from_bytes(b"callstw1", "little")
_MAGIC_AT, _COOKIE, _BASE, _READ, _DONE, _TORN = range(6)


class Ring:
    """The last bytes of one connection, and the position up to which they are dealt with."""

    def __init__(self, file: int) -> None:
        self.file = file
        self._memory = mmap.mmap(file, _HEAD_BYTES + RING_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        with memoryview(self._memory) as whole:
            self._head = whole[: (_TORN + 1) * 8].cast("Q")
            self._data = whole[_HEAD_BYTES:]

    @classmethod
    def new(cls) -> Ring:
        """An empty ring. Raises OSError if there is no memory for it."""
        file = os.memfd_create("callsteward", os.MFD_CLOEXEC)
        os.ftruncate(file, _HEAD_BYTES + RING_BYTES)
        ring = cls(file)
        ring._head[_MAGIC_AT] = _MAGIC
        return ring

    @classmethod
    def found(cls, file: int) -> Ring | None:
        """The ring that an earlier process left; None if it is none, or has another version's layout."""
        if os.fstat(file).st_size != _HEAD_BYTES + RING_BYTES:
            return None
        ring = cls(file)
        if ring._head[_MAGIC_AT] == _MAGIC:
            return ring
        ring.unmap()
        return None

    def begin(self, cookie: int, consumed: int) -> None:
        """A new connection, known by its cookie, of which `consumed` bytes were read already."""
        head = self._head
        head[_COOKIE] = 0
        head[_BASE] = head[_READ]
        head[_READ] += consumed
        head[_DONE] = head[_READ]
        head[_TORN] = 0
        head[_COOKIE] = cookie

    def receive(self, connection: socket.socket) -> memoryview:
        """The bytes that the connection has, empty at its end. Raises OSError."""
        head = self._head
        at = head[_READ] % RING_BYTES
        count = connection.recv_into(self._data[at : min(at + CHUNK_BYTES, RING_BYTES)])
        head[_READ] += count
        return self._data[at : at + count]

    def resume(self, cookie: int, consumed: int) -> bytes | None:
        """The bytes that still need work: read by the previous process and not marked as done.

        `consumed`: how much was read off the connection, by its kernel's count. None if the connection cannot
        be continued: it is another one, too much was read, or a request stands half written in it.
        """
        head = self._head
        read = head[_BASE] + consumed
        if head[_COOKIE] != cookie or head[_TORN] or not 0 <= read - head[_READ] <= CHUNK_BYTES:
            return None
        since = head[_DONE]
        # The place of the next chunk may be overwritten already.
        if read - since > RING_BYTES - CHUNK_BYTES:
            return None
        head[_READ] = read
        first, last = since % RING_BYTES, read % RING_BYTES
        if first <= last:
            return bytes(self._data[first:last])
        return bytes(self._data[first:]) + bytes(self._data[:last])

    @property
    def read(self) -> int:
        """The position up to which bytes were read."""
        return self._head[_READ]

    @property
    def done(self) -> int:
        """The position up to which nothing is needed any more."""
        return self._head[_DONE]

    @done.setter
    def done(self, position: int) -> None:
        self._head[_DONE] = max(self._head[_DONE], position)

    @property
    def torn(self) -> bool:
        """True if something is being written to the connection."""
        return bool(self._head[_TORN])

    @torn.setter
    def torn(self, torn: bool) -> None:
        self._head[_TORN] = torn

    def unmap(self) -> None:
        """Let go of the memory; the file stays open."""
        self._head.release()
        self._data.release()
        self._memory.close()

    def close(self) -> None:
        self.unmap()
        os.close(self.file)

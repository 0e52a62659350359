"""A process that compacts the beginning of a journal while the daemon writes on at its end.

At fifty calls a second the journal reaches some hundred megabytes within the minute in which finished calls
still matter. Going through them takes seconds of a core, and their size once more in memory: a thread would
take both from the process that reads the PBX's events.

``python -m callsteward.journal.compactor BYTES LIMIT PARENT`` reads the journal's first BYTES bytes on
standard input (a file, gone through twice) and writes the frames that are still needed, LIMIT bytes at most,
to standard output (a file, on the disk when the process ends with status 0).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Iterator

from callsteward.ari.line import line
from callsteward.exceptions import StoreError
from callsteward.journal.compaction import compact

_CHUNK = 1024 * 1024
_KILL_S = 0.3
# About 10 ms of work, and a pause three times as long.
_FRAMES_AT_ONCE = 256
_PAUSE = 3.0


async def run(source: int, target: int, *, size: int, limit_bytes: int) -> None:
    """Compact the first `size` bytes of `source` into `target`, both open files.

    If cancelled, it ends the process. Raises StoreError if the process could not do it.
    """
    arguments = (str(number) for number in (size, limit_bytes, os.getpid()))
    command = (sys.executable, "-P", "-m", __name__, *arguments)
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=source, stdout=target, stderr=PIPE)
    except OSError as error:
        message = f"cannot compact the journal: no process for it: {error.strerror}"
        raise StoreError(message) from error
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
        with contextlib.suppress(TimeoutError):  # a process that waits for a hanging disk cannot be ended
            await asyncio.wait_for(process.wait(), _KILL_S)
        raise
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        message = f"cannot compact the journal: {last or f'its process ended with {process.returncode}'}"
        raise StoreError(message)


def lines(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Frames as lines of the journal, in portions: a large journal is not built up in memory."""
    gathered: list[bytes] = []
    size = 0
    for frame in frames:
        gathered.append(line(frame))
        size += len(gathered[-1])
        if size >= _CHUNK:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    if gathered:
        yield b"".join(gathered)


def frames_in(file: int, size: int) -> Iterator[bytes]:
    """The frames in the first `size` bytes of an open journal, to which others may append meanwhile."""
    rest = b""
    at = 0
    while at < size and (chunk := os.pread(file, min(_CHUNK, size - at), at)):
        at += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def write(file: int, chunk: bytes) -> None:
    """Write a chunk completely. Raises OSError."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(file, view) :]


def _unhurried(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames, with pauses: nobody waits for this process, and the others need the machine.

    (A lower priority would be simpler, but the service's filter of system calls forbids to ask for it.)
    """
    began_s = time.monotonic()
    for number, frame in enumerate(frames):
        if number % _FRAMES_AT_ONCE == 0:
            time.sleep(_PAUSE * (time.monotonic() - began_s))
            began_s = time.monotonic()
        yield frame


def main(arguments: list[str]) -> int:
    """The work of the process; a status other than 0 says that its output must not be used."""
    size, limit_bytes, parent = (int(argument) for argument in arguments)
    try:
        for chunk in lines(compact(lambda: _unhurried(frames_in(0, size)), limit_bytes=limit_bytes)):
            if os.getppid() != parent:
                sys.stderr.write("the daemon is gone")
                return 1
            write(1, chunk)
        os.fsync(1)
    except OSError as error:
        sys.stderr.write(error.strerror or str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

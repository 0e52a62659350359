"""The daemon's local socket: whoever may read its state folder connects, and gets one line of JSON.

It takes no input, so nobody can change anything through it. Only the daemon's own user and root get an
answer: open work and the addresses in error texts are nobody else's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from callsteward.config import Config
from callsteward.exceptions import CallstewardError
from callsteward.status.report import Report
from callsteward.store.url import store_url

log = structlog.get_logger(__name__)

# An answer costs some queries: of simultaneous requests this many are answered at a time.
_AT_ONCE = 8
_WITHIN_S = 5.0
_ASK_WITHIN_S = 10.0
_LARGEST = 1 << 20
_CREDENTIALS = struct.Struct("3i")
_ROOT = 0

MakeReport = Callable[[], Awaitable[Report]]


class NotRunningError(CallstewardError):
    """No daemon answers."""


def socket_path(config: Config) -> Path | None:
    """Beside the journal; None for a database in memory, which no other process can read."""
    url = store_url(config.store.url)
    if url.get_backend_name() != "sqlite":
        return config.store.folder / f"callsteward-{config.site.name}.sock"
    if not url.database or url.database == ":memory:":
        return None
    return Path(url.database).with_suffix(".sock")


@contextlib.contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """The same path in a form that fits a socket's address, which has room for 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _listen(path: Path) -> socket.socket:
    """A socket at a path, readable by its owner alone. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            message = "something other than a socket is there"
            raise FileExistsError(17, message, str(path))
        # The journal's lock is ours: no other daemon listens here.
        path.unlink()
    server = socket.socket(socket.AF_UNIX)
    try:
        server.setblocking(False)
        with _reachable(path) as address:
            server.bind(address)
        # Before listen() nobody can connect: there is no moment at which others could.
        path.chmod(0o600)
        server.listen(_AT_ONCE)
    except OSError:
        server.close()
        raise
    return server


class StatusSocket:
    """Answers every request until cancelled. Without it everything else goes on."""

    def __init__(self, path: Path, answer: MakeReport) -> None:
        self._path = path
        self._answer = answer
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Serve until cancelled. A socket that cannot be made is logged, and no more."""
        try:
            listening = _listen(self._path)
        except OSError as error:
            log.warning(
                "`callsteward status` cannot be answered",
                action="status_socket_failed",
                path=str(self._path),
                error=os.strerror(error.errno) if error.errno else str(error),
            )
            await asyncio.Event().wait()
            return
        try:
            server = await asyncio.start_unix_server(self._serve, sock=listening)
            async with server:
                await server.serve_forever()
        finally:
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _may_ask(writer.get_extra_info("socket")):
                async with asyncio.timeout(_WITHIN_S), self._room:
                    writer.write(msgspec.json.encode(await self._answer()) + b"\n")
                    await writer.drain()
        except (TimeoutError, OSError):
            pass  # the other side does not read, or went away
        finally:
            writer.close()


def _may_ask(peer: socket.socket) -> bool:
    _pid, uid, _gid = _CREDENTIALS.unpack(
        peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return uid in {_ROOT, os.getuid()}


def ask(path: Path, *, within_s: float = _ASK_WITHIN_S) -> Report:
    """The answer of the daemon that listens at `path`. Raises NotRunningError with what to do."""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(within_s)
            with _reachable(path) as address:
                asking.connect(address)
            said = b""
            while len(said) < _LARGEST and (piece := asking.recv(1 << 16)):
                said += piece
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        message = f"no daemon runs for this configuration: nobody listens on {path}"
        raise NotRunningError(message) from error
    except PermissionError as error:
        message = f"{path} is for root and the daemon's own user: run this as one of them"
        raise NotRunningError(message) from error
    except TimeoutError as error:
        message = f"the daemon gave no answer within {within_s:.0f} s: it hangs; its log and systemd say more"
        raise NotRunningError(message) from error
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise NotRunningError(message) from error
    try:
        return msgspec.json.decode(said, type=Report)
    except msgspec.DecodeError as error:
        message = (
            "the daemon gave no answer: ask as root or as the daemon's own user, and once more if it was busy"
            if not said
            else "the daemon's answer cannot be read: this command is of another version"
        )
        raise NotRunningError(message) from error

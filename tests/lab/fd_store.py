"""systemd's file descriptor store, as sd_notify(3) and sd_listen_fds(3) describe it, for a process of a test.

Beside the real one (`systemd.py`), which runs whole units.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_FIRST = 3
_LIMIT = 4
# Kept files are above all that a process is handed down, so that putting one in its place closes none.
_KEPT_FROM = 100


class FdStore:
    """Keeps what a process leaves here, and hands it down to the next. Context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fd-store-")
        self.address = str(Path(self._folder.name) / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._lock = threading.Lock()
        self._files: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._listen, name="fd store", daemon=True)

    def __enter__(self) -> Self:
        self._socket.bind(self.address)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tell(b"")
        self._thread.join(5)
        self._socket.close()
        self.clear()
        self._folder.cleanup()

    @property
    def names(self) -> list[str]:
        """Of what is kept, in order."""
        self._heard_out()
        with self._lock:
            return [name for name, _ in self._files]

    @property
    def files(self) -> dict[str, list[int]]:
        """Copies of what is kept, which the caller closes: as `handed_down` would find them."""
        self._heard_out()
        found: dict[str, list[int]] = {}
        with self._lock:
            for name, file in self._files:
                found.setdefault(name, []).append(os.dup(file))
        return found

    def command(self, command: Sequence[str | Path]) -> tuple[list[str], dict[str, str], tuple[int, ...]]:
        """How to start a process that has what is kept: the command, more environment, and `pass_fds`."""
        self._heard_out()
        with self._lock:
            kept = list(self._files)
        if not kept:
            return [str(word) for word in command], {"NOTIFY_SOCKET": self.address}, ()
        # A process knows its own number, and bash files of two digits.
        moves = " ".join(f"{_FIRST + place}<&{file} {file}<&-" for place, (_, file) in enumerate(kept))
        script = f'export LISTEN_PID=$$; exec "$@" {moves}'
        environment = {
            "NOTIFY_SOCKET": self.address,
            "LISTEN_FDS": str(len(kept)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in kept),
        }
        return (
            ["bash", "-c", script, "bash", *map(str, command)],
            environment,
            tuple(file for _, file in kept),
        )

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            for _, file in self._files:
                os.close(file)
            self._files.clear()

    def _tell(self, text: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.sendto(text, self.address)

    def _heard_out(self) -> None:
        """Return when all that was told before has been heard."""
        ours, theirs = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.connect(self.address)
            socket.send_fds(one, [b"BARRIER=1"], [theirs])
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)

    def _listen(self) -> None:
        while True:
            text, low, _, _ = socket.recv_fds(self._socket, 4096, _LIMIT)
            if not text:
                return
            files = [_moved_up(file) for file in low]
            said = dict(line.partition("=")[::2] for line in text.decode().splitlines())
            name = said.get("FDNAME", "stored")
            with self._lock:
                if said.get("FDSTORE") == "1" and len(self._files) + len(files) <= _LIMIT:
                    self._files += [(name, file) for file in files]
                    continue
                if said.get("FDSTOREREMOVE") == "1":
                    for kept, file in self._files:
                        if kept == name:
                            os.close(file)
                    self._files = [entry for entry in self._files if entry[0] != name]
            for file in files:
                os.close(file)


def _moved_up(file: int) -> int:
    moved = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _KEPT_FROM)
    os.close(file)
    return moved

"""The base of the lab's servers: one process each, in a cached root folder, ended with the tests."""

from __future__ import annotations

import atexit
import secrets
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.errors import LabError


class Server(ABC):
    """One process with a folder of its own inside a root. Context manager: started, then removed."""

    def __init__(self, root: Path, letter: str, *, keep: bool) -> None:
        self.root = root
        self.keep = keep
        self.name = f"{letter}{secrets.token_hex(4)}"
        self.folder = root / "lab" / self.name
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def home(self) -> str:
        """Its folder as it sees it, inside the root."""
        return f"/lab/{self.name}"

    @property
    def pid(self) -> int:
        """The process's id. Raises LabError where there is none."""
        if self._process is None:
            message = "it was not started"
            raise LabError(message)
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def start(self) -> None:
        """Start and wait until it answers; raises LabError where it does not."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL: nothing is said to anybody."""

    @abstractmethod
    def _end(self) -> None:
        """End it politely, or else by force."""

    def stop(self) -> None:
        """End it and remove its folder; safe to call again."""
        self._end()
        self._process = None
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def _launch(self, log: Path, *command: str) -> subprocess.Popen[bytes]:
        """Run a command in the root; what it says goes behind what is in the log."""
        with log.open("ab") as said:
            # A session of its own: Ctrl-C at the tests must not take it before them.
            process = subprocess.Popen(
                ["chroot", str(self.root), *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._process = process
        return process

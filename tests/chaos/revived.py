"""A `Daemon` as systemd runs it: started again whenever it ends."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from callsteward import faults
from tests.lab.errors import LabError
from tests.lab.fd_store import FdStore
from tests.live.daemon import STOP_S, Command, Daemon
from tests.live.settings import Settings

START_LIMIT_S = 40.0


class Revived(Daemon):
    """`callsteward run`, revived `pause_s` after each end. Use as a context manager.

    `armed`: the fault point at which its first, second … life ends; `arm()` makes them count, where they
    do not from the start. `store`: keeps what a life leaves for the next.
    """

    def __init__(
        self,
        folder: Path,
        values: Settings,
        *,
        armed: Sequence[str] = (),
        later: bool = False,
        pause_s: float = 0.3,
        store: FdStore | None = None,
    ) -> None:
        super().__init__(folder, "callsteward", values)
        self.lives: list[int] = []
        """Exit codes of its lives so far."""
        self.ended_at: list[float] = []
        self._armed = list(armed)
        self._trigger = folder / "armed"
        self._later = later
        self._pause_s = pause_s
        self._store = store
        self._wanted = threading.Event()
        self._guard = threading.Thread(target=self._revive, name="guard", daemon=True)

    def __enter__(self) -> Self:
        self._wanted.set()
        self.launch()
        self._guard.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
        super().__exit__(kind, error, trace)

    def leave(self) -> int | None:
        """Stop it for good with SIGTERM; its exit code, None where it had to be killed."""
        if not self._wanted.is_set():
            return None
        self._wanted.clear()
        self._guard.join(self._pause_s + 10)
        process = self._process
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def arm(self) -> None:
        """From now on its fault point counts."""
        self._trigger.touch()

    def until_connected(self, limit_s: float = START_LIMIT_S, *, times: int = 1) -> None:
        """Wait until it has reported a link to Asterisk `times` times, in all its lives."""
        deadline = time.monotonic() + limit_s
        while self.connects < times:
            if time.monotonic() > deadline:
                message = f"the daemon does not connect:\n{self.log_file.read_text()[-2000:]}"
                raise LabError(message)
            time.sleep(0.02)

    @property
    def connects(self) -> int:
        return len(self._links())

    @property
    def connected_at(self) -> list[float]:
        """When it reported a link to Asterisk, Unix seconds."""
        return [datetime.fromisoformat(entry["timestamp"]).timestamp() for entry in self._links()]

    def _links(self) -> list[dict[str, Any]]:
        return [entry for entry in self.said_in(0) if entry.get("action") == "ari_connected"]

    def signal(self, how: signal.Signals) -> None:
        """End this life; the guard begins the next."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(how)

    def until_ended(self, times: int, limit_s: float) -> None:
        """Wait until it has ended this often."""
        deadline = time.monotonic() + limit_s
        while len(self.lives) < times:
            if time.monotonic() > deadline:
                point = self._armed[len(self.lives)] if len(self.lives) < len(self._armed) else "no point"
                message = f"the daemon did not come past {point}"
                raise LabError(message)
            time.sleep(0.02)

    def launch(self, *, fault: str = "") -> None:
        """Begin a life, with the fault point that it is to end at."""
        life = len(self.lives)
        fault = self._armed[life] if life < len(self._armed) else ""
        self.environment = {faults.FILE_VARIABLE: str(self._trigger)} if fault and self._later else {}
        super().launch(fault=fault)

    def _started_by(self, command: Command) -> tuple[Command, dict[str, str], tuple[int, ...]]:
        return super()._started_by(command) if self._store is None else self._store.command(command)

    def _revive(self) -> None:
        while self._wanted.is_set():
            process = self._process
            assert process is not None
            try:
                code = process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            self.ended_at.append(time.time())
            self.lives.append(code)
            time.sleep(self._pause_s)
            if self._wanted.is_set():
                self.launch()

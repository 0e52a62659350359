"""callsteward as an admin runs it: the command, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.lab.pbx_config import REPOSITORY
from tests.live.settings import Settings, write

COMMAND = Path(sys.executable).with_name("callsteward")
# A daemon promises to stop within 5 s.
STOP_S = 8.0


def wait_for(happened: Callable[[], bool], limit_s: float, what: str) -> None:
    """Return once something is so; fails the test if it does not come."""
    deadline = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > deadline:
            message = f"waited {limit_s} s in vain for {what}"
            raise AssertionError(message)
        time.sleep(0.02)


def callsteward(*arguments: str | Path, limit_s: float = 60) -> subprocess.CompletedProcess[bytes]:
    """One command, run to its end."""
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=limit_s,
        check=False,
    )


class Daemon:
    """`callsteward run`. Use as a context manager: on leaving it is stopped, started or not."""

    def __init__(self, folder: Path, name: str, settings: Settings, *, record: bool = False) -> None:
        self.name = name
        self.settings = settings
        self.config = write(folder / f"{name}.toml", settings)
        self.log_file = folder / f"{name}.log"
        self.recording = folder / f"{name}.jsonl" if record else None
        self.environment: dict[str, str] = {}
        """What it is started with beside the environment of the tests."""
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._log_from = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            self.terminate()
        if self._log is not None:
            self._log.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def peak_mib(self) -> float:
        """The most memory it has had (VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stored(self) -> list[tuple[str, int]]:
        """The records in its SQLite store: call ids, and whether each call was seen whole."""
        file = self.settings["store"]["url"].removeprefix("sqlite:///")
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            return database.execute("SELECT call_id, complete FROM calls").fetchall()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged since it was last started."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_bytes()[self._log_from :].splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def said(self, action: str) -> list[dict[str, Any]]:
        """Its log entries of one kind."""
        return [entry for entry in self.log if entry.get("action") == action]

    def start(self, *, until: str = "ari_connected", limit_s: float = 20) -> None:
        """Start it and wait for a log entry (`until` is its action)."""
        if self._log is None:
            self._log = self.log_file.open("ab")
        self._log_from = self.log_file.stat().st_size
        command: list[str | Path] = [COMMAND, "run", "-c", self.config]
        if self.recording is not None:
            command += ["--record", self.recording]
        # Logged to a file, it logs JSON.
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **self.environment},
        )
        if until:
            self.wait_for_log(until, limit_s)

    def wait_for_log(self, action: str, limit_s: float = 20, *, times: int = 1) -> None:
        def happened() -> bool:
            assert self.running, f"{self.name} ended:\n{self.log_file.read_text()[-3000:]}"
            return len(self.said(action)) >= times

        try:
            wait_for(happened, limit_s, f"{self.name} to log {action}")
        except AssertionError as error:
            error.add_note(self.log_file.read_text()[-3000:])
            raise

    def terminate(self) -> int:
        """SIGTERM; returns its exit code. Fails if it does not stop in time."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            message = f"{self.name} did not stop within {STOP_S} s of {how.name}"
            raise AssertionError(message) from None

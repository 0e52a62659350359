"""`callsteward run` and the other commands as an admin runs them, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from callsteward import faults
from tests.lab.asterisk import Asterisk
from tests.lab.pbx_config import REPOSITORY
from tests.live.settings import Settings, write
from tests.live.stored import Stored

COMMAND = Path(sys.executable).with_name("callsteward")
# A daemon promises to stop within 5 s.
STOP_S = 8.0
FAULTS = {faults.VARIABLE, faults.FILE_VARIABLE}
Command = Sequence[str | Path]


def until_all_have_gone(pbx: Asterisk) -> None:
    """Wait for the last channel to go. A BYE to a phone that is gone is sent again for 32 s."""
    wait_for(lambda: not pbx.request_list("/channels"), 60, "the last channel to go")


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


class Daemon(Stored):
    """`callsteward run`, and what it stored. Use as a context manager: on leaving it is stopped."""

    def __init__(self, folder: Path, name: str, settings: Settings, *, record: bool = False) -> None:
        super().__init__(settings["store"]["url"])
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

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop it dead: it lives, and does nothing."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log since it was last started."""
        if not self.log_file.exists():
            return []
        return self.said_in(self._log_from)

    def said_in(self, offset: int) -> list[dict[str, Any]]:
        """Its log from a byte on; from 0: of all its processes."""
        lines = self.log_file.read_bytes()[offset:].splitlines()
        # The last may be half written.
        return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]

    def said(self, action: str) -> list[dict[str, Any]]:
        """Its log entries of one kind."""
        return [entry for entry in self.log if entry.get("action") == action]

    def start(self, *, until: str = "", fault: str = "", limit_s: float = 20) -> None:
        """Start it, and wait for a log entry (`until` is its action).

        Unset: that it is connected, and with ratings that it can ask. `fault`: the point at which it is to be
        killed.
        """
        self.launch(fault=fault)
        asks = self.settings.get("rating", {}).get("enabled", False)
        self.wait_for_log(until or "ari_connected", limit_s)
        if asks and not until:
            self.wait_for_log("ivr_connected", limit_s)

    def launch(self, *, fault: str = "") -> None:
        """Start it, and wait for nothing."""
        if self._log is None:
            self._log = self.log_file.open("ab")
        self._log_from = self.log_file.stat().st_size
        run: list[str | Path] = [COMMAND, "run", "-c", self.config]
        if self.recording is not None:
            run += ["--record", self.recording]
        command, more, files = self._started_by(run)
        environment = {key: value for key, value in os.environ.items() if key not in FAULTS}
        environment |= self.environment | more
        if fault:
            environment[faults.VARIABLE] = fault
        # Logged to a file, it logs JSON.
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            pass_fds=files,
        )

    def _started_by(self, command: Command) -> tuple[Command, dict[str, str], tuple[int, ...]]:
        """How a command is started: what is run, more environment, and files it is handed."""
        return command, {}, ()

    def wait_for_log(self, action: str, limit_s: float = 20, *, times: int = 1) -> None:
        self.until(lambda: len(self.said(action)) >= times, limit_s, f"log {action}")

    def until(self, happened: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait for something of its doing; fails the test with its log where it ends or nothing comes."""

        def so() -> bool:
            if happened():
                return True
            assert self.running, f"{self.name} ended"
            return False

        try:
            wait_for(so, limit_s, f"{self.name} to {what}")
        except AssertionError as error:
            error.add_note(self.log_file.read_text()[-3000:])
            raise

    def exit_code(self, limit_s: float) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def terminate(self) -> int:
        """SIGTERM; returns its exit code. Fails if it does not stop in time."""
        return self.end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals) -> int:
        """End it by a signal; its exit code. Fails if it does not stop in time."""
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

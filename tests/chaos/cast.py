"""The near end of a run's phones: gives orders, hears the truth the moment it happens."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.lab.errors import LabError
from tests.lab.lanes import Lane
from tests.lab.pbx_config import REPOSITORY

ORDER_LIMIT_S = 45.0
Act = dict[str, Any]


class Cast:
    """The phones of one lane. Context manager; raises LabError where they do not do as they are told."""

    def __init__(self, sip_port: int, lane: int) -> None:
        self.lane = Lane(lane)
        self.acts: list[Act] = []
        self._changed = threading.Condition()
        self._done: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.chaos.phones",
                "--sip-port", str(sip_port), "--lane", str(lane),
            ],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name=f"phones {lane}", daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # With its stdin it knows that the show is over; it hangs up and unregisters.
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.close()
            self._process.wait(6)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def do(self, do: str, who: str, value: object = None) -> None:
        """One order, carried out when this returns."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"do": do, "who": who, "value": value}) + "\n")
            stdin.flush()
            error = self._done.get(timeout=ORDER_LIMIT_S)
        except (BrokenPipeError, queue.Empty) as trouble:
            message = f"the phones of lane {self.lane.index} do not {do} ({who})"
            raise LabError(message) from trouble
        if error is None:
            message = f"the phones of lane {self.lane.index} died at {do} ({who})"
            raise LabError(message)
        if error:
            raise LabError(error)

    def say(self, who: str, seconds: float) -> None:
        """One speaks for a while."""
        self.do("talk", who)
        time.sleep(seconds)
        self.do("hush", who)

    def wait(self, matches: Callable[[Act], bool], limit_s: float, what: str, *, since: int = 0) -> Act:
        """The first act that matches, as soon as it happens; LabError if none does."""
        deadline = time.monotonic() + limit_s
        with self._changed:
            while True:
                found = next((act for act in self.acts[since:] if matches(act)), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    message = f"waited {limit_s} s in vain for {what}"
                    raise LabError(message)
                self._changed.wait(left)

    def count(self) -> int:
        return len(self.acts)

    def of(self, do: str, who: str) -> list[Act]:
        """What a phone did of one kind, in order."""
        return [act for act in list(self.acts) if act["do"] == do and act.get("who") == who]

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            if not line.startswith("{"):
                continue
            row = json.loads(line)
            if "done" in row:
                self._done.put(row["error"])
                continue
            with self._changed:
                self.acts.append(row)
                self._changed.notify_all()
        self._done.put(None)

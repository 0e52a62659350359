"""How late this machine was: a clock that is looked at every few milliseconds, and what it missed.

Phones, Asterisk and the daemon share two cores with whatever else runs. Where the machine itself stood
still for longer than half the tolerance of a measurement, that run measured the machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.pbx_config import REPOSITORY
from tests.lab.priority import go_first

LOOK_EVERY_S = 0.005
WORTH_NOTING_S = 0.02
TOO_LATE_S = 0.05


class LagMeter:
    """Use as a context manager.

    The clock is a process of its own, which goes first as the phones do: a thread would wait for the lock of
    Python's interpreter, too.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="callsteward-lag-")
        self._noted = Path(self._folder.name) / "late"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._noted.open("wb") as noted:
            self._process = subprocess.Popen([sys.executable, "-m", __name__], cwd=REPOSITORY, stdout=noted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def worst_s(self, began: float, ended: float) -> float:
        """The longest the machine stood still between two moments (Unix seconds)."""
        assert self._process is not None
        assert self._process.poll() is None, "the clock has stopped"
        noted = self._noted.read_bytes()
        lines = [line.split() for line in noted[: noted.rfind(b"\n") + 1].splitlines()]
        return max((float(late) for at, late in lines if began <= float(at) <= ended), default=0.0)


def main() -> None:
    go_first()
    before = time.time()
    while True:
        time.sleep(LOOK_EVERY_S)
        now = time.time()
        late = now - before - LOOK_EVERY_S
        if late > WORTH_NOTING_S:
            print(now, late, flush=True)
        before = now


if __name__ == "__main__":
    main()

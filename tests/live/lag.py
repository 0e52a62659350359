"""How late this machine was: a clock that is looked at every few milliseconds, and what it missed.

Phones, Asterisk and the daemon share two cores with whatever else runs. Where the machine itself stood
still for longer than half the tolerance of a measurement, that run measured the machine.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from tests.lab.priority import go_first

LOOK_EVERY_S = 0.005
WORTH_NOTING_S = 0.02
TOO_LATE_S = 0.05


class LagMeter:
    """Use as a context manager; it looks at the clock in a thread of its own."""

    def __init__(self) -> None:
        self._late: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lag", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        # As the phones and the PBX, whose lateness this is to tell.
        go_first()
        before = time.time()
        while not self._stop.wait(LOOK_EVERY_S):
            now = time.time()
            late = now - before - LOOK_EVERY_S
            if late > WORTH_NOTING_S:
                self._late.append((now, late))
            before = now

    def worst_s(self, began: float, ended: float) -> float:
        """The longest the machine stood still between two moments (Unix seconds)."""
        return max((late for at, late in self._late if began <= at <= ended), default=0.0)

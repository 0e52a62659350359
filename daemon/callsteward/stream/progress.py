"""Watches whether the pump makes progress, for the watchdog. No IO."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A batch is about 10 ms of work: a pump that works at one for this long is stuck in it.
WORK_LIMIT_S = 30.0
# A restart does not cure a disk or database that hangs, and would lose the frames waiting in memory; but the
# cause may be a lock of our own.
WAIT_LIMIT_S = 600.0


class Progress:
    """The pump's own marks, on time.monotonic(). It is idle, at work, or waiting for the disk or store."""

    __slots__ = ("_clock", "_idle", "_since_s", "lag_s", "waits_for")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle = True
        self._since_s = clock()
        self.waits_for = ""
        """disk, store, or empty."""
        self.lag_s = 0.0
        """How long the oldest frame of the batch worked on last had waited."""

    def idle(self) -> None:
        """Nothing is left to do; called after every batch."""
        self._idle = True
        self._since_s = self._clock()

    def working(self) -> None:
        """There is work to do."""
        self._idle = False
        self._since_s = self._clock()

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Around a wait for something outside the daemon."""
        self.waits_for = what
        self._since_s = self._clock()
        try:
            yield
        finally:
            self.waits_for = ""
            self._since_s = self._clock()

    @property
    def since_s(self) -> float:
        """For how long it has been in its present state."""
        return self._clock() - self._since_s

    def stuck(self, queued: int) -> str:
        """Why the pump counts as stuck, empty if it does not; `queued`: frames waiting."""
        if self.waits_for:
            limit_s, doing = WAIT_LIMIT_S, f"waits for the {self.waits_for}"
        elif not self._idle:
            limit_s, doing = WORK_LIMIT_S, "works at one batch"
        elif queued:
            limit_s, doing = WORK_LIMIT_S, f"is idle while {queued} frames wait"
        else:
            return ""
        return f"the pump {doing} for {self.since_s:.0f} s" if self.since_s > limit_s else ""

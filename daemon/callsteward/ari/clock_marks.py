"""Marks in the stream that Asterisk's clock was set, put before the first frame with the new time."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from callsteward.ari import events
from callsteward.ari.clock_jumps import ALONE_MS, ClockJumps
from callsteward.ari.marks import OWN, SNAPSHOT, clock_set
from callsteward.ari.stamp import stamp
from callsteward.clock import WallClock
from callsteward.health import Counters

log = structlog.get_logger(__name__)

Batch = list[tuple[bytes, float]]
"""Frames, each with the time.monotonic() at which it came."""


class ClockMarks:
    """Looks at every batch before the tracker does. `open_calls` is for the log."""

    def __init__(self, counters: Counters, machine: WallClock, open_calls: Callable[[], int]) -> None:
        self._counters = counters
        self._machine = machine
        self._open_calls = open_calls
        self._jumps = ClockJumps()

    def forget(self) -> None:
        """No call is on that a set clock could matter to: begin anew with the next frame."""
        self._jumps.forget()

    def put(self, batch: Batch) -> Batch:
        """The frames, with a mark where the clock was set."""
        jumps = self._jumps
        step_s = self._machine.step_s()
        if step_s:
            jumps.machine_set(round(step_s * 1000))
        if not jumps.pending and len(batch) > 1:
            # A step anywhere among them shows in the last one.
            ms = self._stamp_ms(*batch[-1])
            if ms is not None and not jumps.look(ms, batch[-1][1]):
                jumps.take(ms, batch[-1][1])
                return batch
        marked: Batch = []
        for raw, received_s in batch:
            by_machine = jumps.pending
            ms = self._stamp_ms(raw, received_s)
            jump_ms = 0 if ms is None else jumps.take(ms, received_s)
            if jump_ms:
                if not by_machine:
                    # The watch counts steps of the machine's clock.
                    self._counters.clock_steps += 1
                log.warning(
                    "Asterisk's clock was set: calls in progress are re-dated",
                    action="clock_corrected",
                    step_s=jump_ms / 1000,
                    open_calls=self._open_calls(),
                )
                marked.append((clock_set(jump_ms), received_s))
            marked.append((raw, received_s))
        return marked

    def _stamp_ms(self, raw: bytes, received_s: float) -> int | None:
        """Asterisk's time for a frame. Of our own marks only a Snapshot has it, to the second."""
        kind, moment = stamp(raw)
        if kind.startswith(OWN):
            if kind != SNAPSHOT:
                return None
            self._jumps.linked(received_s)
            if abs(self._jumps.machine_ms) < ALONE_MS:
                return None
        return events.epoch_ms(moment)

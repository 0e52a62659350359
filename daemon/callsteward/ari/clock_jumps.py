"""Detecting from an event's timestamp that Asterisk's clock was set. No IO.

Events arrive in the order of their stamps, each at once or (after an outage) late, never early. So a stamp
that is ahead of the time known so far, or before the event preceding it, means that a clock was set. If
daemon and PBX share a machine, that machine's clock shows it as well, with the exact step; a jump that the
machine does not show must be large, and the link must have been up for a while.
"""

from __future__ import annotations

# The smallest step believed without the machine's clock. Stamps of one Asterisk are out of order by
# milliseconds, never by this much.
ALONE_MS = 10_000
# A jump is believed without the machine's clock only after the link has been up for this long and nothing
# came that was less late than all before: the events that Asterisk kept for an absent daemon come late, then
# faster than time.
SETTLED_S = 30.0
# For this long after the machine's clock was set, the first event with the new time may come in among older
# ones.
PENDING_S = 10.0
# Two clocks that nobody sets drift apart by less than a thousandth.
DRIFT_MS_PER_S = 1.0
# Events that catch up, each less late than the one before.
ROSE_MS = 1_000


class ClockJumps:
    """Looks at events before the tracker does: at all, or at the last of several that came together."""

    def __init__(self) -> None:
        # How far Asterisk's clock is ahead of time.monotonic(), by the promptest event, and when that was.
        self._ahead_ms = 0.0
        self._taken_s = 0.0
        self._risen_s = 0.0
        self._last_ms = 0
        self._linked_s = 0.0
        self.machine_ms = 0
        """The step of the machine's clock, while it is open whether Asterisk's clock was set with it."""
        self._pending_s: float | None = None

    @property
    def pending(self) -> bool:
        """True if the machine's clock was set and it is still open whether Asterisk's was, too."""
        return bool(self.machine_ms)

    def linked(self, received_s: float) -> None:
        """The link was made at this moment (time.monotonic())."""
        self._linked_s = received_s

    def machine_set(self, by_ms: int) -> None:
        """The machine's clock was set by this much since the last event."""
        self.machine_ms += by_ms
        self._pending_s = None

    def forget(self) -> None:
        """No call is on that a jump could matter to: begin anew with the next event."""
        self._last_ms = self.machine_ms = 0
        self._pending_s = None

    def look(self, event_ms: int, received_s: float) -> int:
        """By how much Asterisk's clock was set before this event; 0 if it was not."""
        if not self._last_ms:
            return 0
        ahead_ms = round(event_ms - received_s * 1000 - self._ahead_ms)
        after_ms = event_ms - self._last_ms
        if self.machine_ms:
            return self._with_machine(ahead_ms, after_ms)
        settled = received_s - max(self._linked_s, self._risen_s) >= SETTLED_S
        return _alone(ahead_ms, after_ms) if settled else 0

    def take(self, event_ms: int, received_s: float) -> int:
        """The same, and continue from this event."""
        jump_ms = self.look(event_ms, received_s)
        offset_ms = event_ms - received_s * 1000
        if jump_ms:
            self._ahead_ms += jump_ms
            self._last_ms = event_ms
            self.machine_ms = 0
        elif not self._last_ms or self._timed_out(received_s):
            # There was no event to compare with; or Asterisk is on another machine, whose clock was not set.
            self.machine_ms = 0
        since_ms = self._ahead_ms - (received_s - self._taken_s) * DRIFT_MS_PER_S
        if not self._last_ms or offset_ms > since_ms + ROSE_MS:
            self._risen_s = received_s
        self._ahead_ms = offset_ms if not self._last_ms else max(offset_ms, since_ms)
        self._taken_s = received_s
        self._last_ms = max(self._last_ms, event_ms)
        return jump_ms

    def _with_machine(self, ahead_ms: int, after_ms: int) -> int:
        """The machine's own step, if this event's stamp fits the new time better than the old."""
        step_ms = self.machine_ms
        if step_ms > 0:
            return step_ms if ahead_ms > step_ms / 2 else 0
        # A merely late event may be before the expected time, but not before the event preceding it.
        fits = ahead_ms < step_ms / 2 and (after_ms < 0 or ahead_ms > step_ms * 3 / 2)
        return step_ms if fits else 0

    def _timed_out(self, received_s: float) -> bool:
        if not self.machine_ms:
            return False
        if self._pending_s is None:
            self._pending_s = received_s
        return received_s - self._pending_s > PENDING_S


def _alone(ahead_ms: int, after_ms: int) -> int:
    if ahead_ms > ALONE_MS or (after_ms < -ALONE_MS and ahead_ms < -ALONE_MS):
        return ahead_ms
    return 0

"""Telling from an event's timestamp that Asterisk's clock was set. No IO.

Events come in the order in which they were stamped, each at once or (after an outage) late, never early. So a
stamp that is ahead of the time that the stream had told, or behind the event before it, comes of a clock
that was set. Where daemon and PBX share a machine, the machine's own clock says so too, and by how much to
the millisecond; a jump that it knows nothing of has to be large, and the link up for a while.
"""

from __future__ import annotations

# Without the machine's word. Stamps of one Asterisk are out of order by milliseconds, never by this.
ALONE_MS = 10_000
# So long a link is up, and nothing came that was less late than all before, until a jump is believed without
# the machine's word: what an outbound link kept for a daemon that was away comes late, then faster than time.
SETTLED_S = 30.0
# So long after the machine's clock was set the first event stamped by it may come in among older ones.
PENDING_S = 10.0
# Two clocks that nobody sets part by less than a thousandth.
DRIFT_MS_PER_S = 1.0
# Events that catch up, each less late than the one before.
ROSE_MS = 1_000


class ClockJumps:
    """Asked of events before they are taken in, all of them or the last of a few that came together."""

    def __init__(self) -> None:
        # How far Asterisk's clock is ahead of time.monotonic(), by the promptest event; when it was that.
        self._ahead_ms = 0.0
        self._taken_s = 0.0
        self._risen_s = 0.0
        self._last_ms = 0
        self._linked_s = 0.0
        self.machine_ms = 0
        """By how much the machine's clock was set, where Asterisk's may have been with it."""
        self._pending_s: float | None = None

    @property
    def pending(self) -> bool:
        """Whether the machine's clock was set and it is not known yet whether Asterisk's was with it."""
        return bool(self.machine_ms)

    def linked(self, received_s: float) -> None:
        """A link was made at this moment (time.monotonic())."""
        self._linked_s = received_s

    def machine_set(self, by_ms: int) -> None:
        """The machine's clock was set by so much since the last event."""
        self.machine_ms += by_ms
        self._pending_s = None

    def forget(self) -> None:
        """Nothing is on that a jump could matter to: begin anew with the next event."""
        self._last_ms = self.machine_ms = 0
        self._pending_s = None

    def look(self, event_ms: int, received_s: float) -> int:
        """By how much Asterisk's clock was set before this event, 0 where it was not."""
        if not self._last_ms:
            return 0
        ahead_ms = round(event_ms - received_s * 1000 - self._ahead_ms)
        after_ms = event_ms - self._last_ms
        if self.machine_ms:
            return self._with_machine(ahead_ms, after_ms)
        settled = received_s - max(self._linked_s, self._risen_s) >= SETTLED_S
        return _alone(ahead_ms, after_ms) if settled else 0

    def take(self, event_ms: int, received_s: float) -> int:
        """The same, and go on from this event."""
        jump_ms = self.look(event_ms, received_s)
        offset_ms = event_ms - received_s * 1000
        if jump_ms:
            self._ahead_ms += jump_ms
            self._last_ms = event_ms
            self.machine_ms = 0
        elif not self._last_ms or self._timed_out(received_s):
            # Nothing was there to compare with; or Asterisk is on another machine, whose clock was not set.
            self.machine_ms = 0
        since_ms = self._ahead_ms - (received_s - self._taken_s) * DRIFT_MS_PER_S
        if not self._last_ms or offset_ms > since_ms + ROSE_MS:
            self._risen_s = received_s
        self._ahead_ms = offset_ms if not self._last_ms else max(offset_ms, since_ms)
        self._taken_s = received_s
        self._last_ms = max(self._last_ms, event_ms)
        return jump_ms

    def _with_machine(self, ahead_ms: int, after_ms: int) -> int:
        """The machine's own step, if this event has it as well: nearer to the new time than to the old."""
        step_ms = self.machine_ms
        if step_ms > 0:
            return step_ms if ahead_ms > step_ms / 2 else 0
        # Behind the time an event may be that is merely late; but not behind the one before it.
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

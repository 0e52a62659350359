"""Asterisk's clock by its events; and the machine's clock, when it is set."""

from __future__ import annotations

import time
from collections.abc import Callable

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

FORGET_AFTER_S = 30.0
# Smaller steps are NTP's corrections of a clock that is nearly right.
STEP_S = 1.0


def wall_ms() -> int:
    """This machine's time, ms since 1970."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that nobody sets, in ms since some moment."""
    return time.monotonic_ns() // 1_000_000


class EventClock:
    """The time that Asterisk has now: ms since 1970.

    Alert timers run on it, so a PBX whose clock differs from the daemon's, or is stepped, alerts at the right
    moment of its own. An event is stamped before it arrives, at once or (after an outage) much later. The
    difference between stamp and arrival is smallest for the promptest event, and that one is believed; for 30
    to 60 s, so that a clock set back is followed too.
    """

    __slots__ = ("_generation_s", "_guess_ms", "_offset_ms", "_older_ms")

    def __init__(self) -> None:
        self._offset_ms: float | None = None
        self._older_ms: float | None = None
        self._generation_s: float | None = None
        self._guess_ms: float | None = None

    def observe(self, event_ms: int, received_s: float) -> None:
        """An event stamped `event_ms` arrived at `received_s` (time.monotonic())."""
        offset = event_ms - received_s * 1000
        if self._generation_s is None or received_s - self._generation_s > FORGET_AFTER_S:
            self._older_ms = self._offset_ms
            self._offset_ms = offset
            self._generation_s = received_s
        elif self._offset_ms is None or offset > self._offset_ms:
            self._offset_ms = offset

    def forget(self) -> None:
        """The clock was set: believe nothing until the next event."""
        self._offset_ms = self._older_ms = self._generation_s = self._guess_ms = None

    def move(self, by_ms: int) -> None:
        """Asterisk's clock was set by this much."""
        if self._offset_ms is not None:
            self._offset_ms += by_ms
        if self._older_ms is not None:
            self._older_ms += by_ms
        if self._guess_ms is not None:
            self._guess_ms += by_ms

    def guess(self, asterisk_ms: int, received_s: float) -> None:
        """Asterisk's time from another source, used until an event comes."""
        self._guess_ms = asterisk_ms - received_s * 1000

    def now_ms(self, monotonic_s: float | None = None) -> int | None:
        """Asterisk's time now, None before the first event."""
        offsets = [offset for offset in (self._offset_ms, self._older_ms) if offset is not None]
        if not offsets and self._guess_ms is not None:
            offsets = [self._guess_ms]
        if not offsets:
            return None
        now = time.monotonic() if monotonic_s is None else monotonic_s
        return int(max(offsets) + now * 1000)

    def asterisk_ms(self) -> int:
        """Asterisk's time now, or the machine's while nothing has told it."""
        now_ms = self.now_ms()
        return wall_ms() if now_ms is None else now_ms

    def monotonic_s(self, at_ms: int) -> float | None:
        """When, on time.monotonic(), Asterisk's clock will show `at_ms`."""
        now = time.monotonic()
        asterisk = self.now_ms(now)
        return None if asterisk is None else now + (at_ms - asterisk) / 1000


class WallClock:
    """Notices when the machine's clock was set: wall and monotonic time drifted apart."""

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead_s = wall() - monotonic()

    def step_s(self) -> float:
        """By how much the clock was set since the last call, 0 if it was not."""
        ahead_s = self._wall() - self._monotonic()
        step_s = ahead_s - self._ahead_s
        self._ahead_s = ahead_s
        return step_s if abs(step_s) >= STEP_S else 0.0

"""Attempts that a record leaves out: an hour in a ring-all queue rings thousands of phones.

The first and the last ones are kept; those between are summed up by operator and result. While the call is
on, the same keeps its memory bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.record.call import AttemptResult, AttemptsLeftOut

if TYPE_CHECKING:
    from callsteward.calls.model import Call, TrackedAttempt

FIRST: Final = 20
LAST: Final = 20
# While the call is on, some more are kept, so that sums are rarely made.
_MANY: Final = 2 * (FIRST + LAST)
# The most pairs of operator and result with a row of their own.
_ROWS: Final = 100
_CANCELLED: Final = AttemptResult.CANCELLED


class LeftOut:
    """Sums by operator and result: how many attempts there were, and how long (ms) they rang."""

    __slots__ = ("longest_ring_ms", "rows")

    def __init__(self) -> None:
        self.rows: dict[tuple[str | None, AttemptResult], tuple[int, int]] = {}
        self.longest_ring_ms: int | None = None

    def add(self, attempt: TrackedAttempt) -> None:
        """Add an attempt that is over."""
        ring_ms = rang_ms(attempt)
        if ring_ms is not None:
            self.longest_ring_ms = max(ring_ms, self.longest_ring_ms or 0)
        self._add(attempt.operator, attempt.result or _CANCELLED, 1, max(0, ring_ms or 0))

    def join(self, other: LeftOut) -> None:
        """Add the sums of another call that was merged into this one."""
        for (operator, result), (attempts, ring_ms) in other.rows.items():
            self._add(operator, result, attempts, ring_ms)
        if other.longest_ring_ms is not None:
            self.longest_ring_ms = max(other.longest_ring_ms, self.longest_ring_ms or 0)

    def _add(self, operator: str | None, result: AttemptResult, attempts: int, ring_ms: int) -> None:
        key = (operator, result)
        if key not in self.rows and len(self.rows) >= _ROWS:
            key = (None, result)
        before = self.rows.get(key, (0, 0))
        self.rows[key] = (before[0] + attempts, before[1] + ring_ms)

    def shown(self) -> tuple[AttemptsLeftOut, ...]:
        """The sums as the record has them, the most frequent first."""
        rows = sorted(self.rows.items(), key=lambda row: (-row[1][0], row[0][0] or "", row[0][1].value))
        return tuple(
            [
                AttemptsLeftOut(operator, result, attempts, ring_ms / 1000)
                for (operator, result), (attempts, ring_ms) in rows
            ]
        )


def rang_ms(attempt: TrackedAttempt) -> int | None:
    """How long the attempt rang, None if that was not seen."""
    if attempt.ring_ms is None or attempt.end_ms is None:
        return None
    return attempt.end_ms - attempt.ring_ms


def bound(call: Call) -> None:
    """Sum up the attempts between a call's first and last ones once there are too many."""
    attempts = call.attempts
    if len(attempts) <= _MANY:
        return
    middle = attempts[FIRST:-LAST]
    # The result may change as long as the phone's channel exists.
    going_on = [attempt for attempt in middle if not attempt.over]
    left_out = call.left_out
    if left_out is None:
        left_out = call.left_out = LeftOut()
    for attempt in middle:
        if attempt.over:
            left_out.add(attempt)
    call.attempts = attempts[:FIRST] + going_on + attempts[-LAST:]


def merge(winner: Call, loser: Call) -> None:
    """Two calls were merged into one."""
    if loser.left_out is not None:
        if winner.left_out is None:
            winner.left_out = LeftOut()
        winner.left_out.join(loser.left_out)
    bound(winner)


def results(call: Call) -> list[AttemptResult | None]:
    """The results of a call's attempts, summed ones once for each result; None for an open attempt."""
    found: list[AttemptResult | None] = [attempt.result for attempt in call.attempts]
    if call.left_out is not None:
        found += [result for _, result in call.left_out.rows]
    return found


def longest_ring_ms(call: Call) -> int | None:
    """The longest time that any phone rang for the call."""
    longest = None if call.left_out is None else call.left_out.longest_ring_ms
    for attempt in call.attempts:
        ring_ms = rang_ms(attempt)
        if ring_ms is not None and (longest is None or ring_ms > longest):
            longest = ring_ms
    return longest


def split(call: Call, as_they_rang: list[TrackedAttempt]) -> tuple[list[TrackedAttempt], LeftOut | None]:
    """The attempts that the record of an ended call lists, and the sums of the others."""
    if len(as_they_rang) <= FIRST + LAST and call.left_out is None:
        return as_they_rang, None
    sums = LeftOut()
    if call.left_out is not None:
        sums.join(call.left_out)
    for attempt in as_they_rang[FIRST:-LAST]:
        sums.add(attempt)
    return as_they_rang[:FIRST] + as_they_rang[FIRST:][-LAST:], sums

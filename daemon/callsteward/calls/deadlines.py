"""Deadlines on Asterisk's clock: limits of calls that may run out.

A cancelled deadline drops the reference to its target at once; its entry leaves the heap when it is due, or
when half of the heap is dead (as asyncio's loop does it). So an hour-long limit keeps no ended call alive.
"""

from __future__ import annotations

from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

# A constant is read at once; a module's name would be looked up each time.
_push: Final = heappush
_pop: Final = heappop

T = TypeVar("T")
_NEVER: Final = 1 << 62


class Limit(Enum):
    """The kinds of limits that can run out."""

    RING = "answer_within"
    HOLD = "hold_limit"
    SILENCE = "silence_limit"
    TALK = "talk_limit"
    LINGER = "linger"


# The key of a deadline in the heap: its moment, then its serial number, so that of two at the same moment the
# one set first fires first. Comparing integers costs a fraction of comparing tuples, and until 2109 these
# keys fit a machine word; longer ones would cost several times as much.
_NUMBERS: Final = 20
_LAST: Final = (1 << _NUMBERS) - 1


class Deadline(Generic[T]):
    """One deadline. `target` is None once it is cancelled or has fired."""

    __slots__ = ("at_ms", "key", "limit", "since_ms", "target")

    def __init__(self, key: int, at_ms: int, limit: Limit, since_ms: int, target: T) -> None:
        self.key = key
        self.at_ms = at_ms
        self.limit = limit
        self.since_ms = since_ms
        self.target: T | None = target


class Deadlines(Generic[T]):
    """A heap of deadlines, in order of their moments."""

    __slots__ = ("_added", "_first_ms", "_heap", "_set")

    def __init__(self) -> None:
        # Keys. Those whose deadline was cancelled or has fired are dead.
        self._heap: list[int] = []
        self._set: dict[int, Deadline[T]] = {}
        self._added = 0
        # No deadline is due before this moment; the one that was due then may have been cancelled.
        self._first_ms = _NEVER

    def add(self, at_ms: int, limit: Limit, since_ms: int, target: T) -> Deadline[T]:
        if self._added == _LAST:
            self.move(0)
        self._added += 1
        key = (at_ms << _NUMBERS) + self._added
        deadline = self._set[key] = Deadline(key, at_ms, limit, since_ms, target)
        _push(self._heap, key)
        self._first_ms = min(self._first_ms, at_ms)
        return deadline

    def cancel(self, deadline: Deadline[T]) -> None:
        if deadline.target is None:
            return
        deadline.target = None
        del self._set[deadline.key]
        dead = len(self._heap) - len(self._set)
        if dead > 64 and dead * 2 > len(self._heap):
            self._heap = list(self._set)
            heapify(self._heap)

    def move(self, by_ms: int) -> None:
        """Move all deadlines by this much, since their clock was set. They are numbered from 1 again."""
        moved: dict[int, Deadline[T]] = {}
        for number, key in enumerate(sorted(self._set), 1):
            deadline = self._set[key]
            deadline.at_ms += by_ms
            deadline.since_ms += by_ms
            deadline.key = (deadline.at_ms << _NUMBERS) + number
            moved[deadline.key] = deadline
        self._set = moved
        self._added = len(moved)
        # In order, and therefore a heap.
        self._heap = list(moved)
        self._first_ms = self._heap[0] >> _NUMBERS if self._heap else _NEVER

    def _first(self) -> Deadline[T] | None:
        """The earliest deadline that is still set; dead ones before it are dropped."""
        heap = self._heap
        while heap:
            first = self._set.get(heap[0])
            if first is not None:
                self._first_ms = first.at_ms
                return first
            _pop(heap)
        self._first_ms = _NEVER
        return None

    @property
    def next_ms(self) -> int | None:
        """The moment of the earliest deadline, or None."""
        first = self._first()
        return None if first is None else first.at_ms

    def may_be_due(self, now_ms: int) -> bool:
        """True if `pop_due` may find anything. Asked for every event, so as cheap as possible."""
        return self._first_ms <= now_ms

    def pop_due(self, now_ms: int) -> Deadline[T] | None:
        """The earliest deadline that is due at this moment and still set."""
        heap = self._heap
        while heap:
            first_ms = heap[0] >> _NUMBERS
            if first_ms > now_ms:
                self._first_ms = first_ms
                return None
            deadline = self._set.pop(_pop(heap), None)
            if deadline is not None:
                return deadline
        self._first_ms = _NEVER
        return None

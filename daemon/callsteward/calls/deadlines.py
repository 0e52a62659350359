"""Moments at which something will be too late, on Asterisk's clock.

A cancelled deadline lets go of its target at once and its entry is dropped when due or when half of
the heap is dead (as asyncio's loop does it), so an hour-long limit keeps no ended call alive.
"""

from __future__ import annotations

from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_NEVER: Final = 1 << 62


class Limit(Enum):
    """What runs out."""

    RING = "answer_within"
    HOLD = "hold_limit"
    SILENCE = "silence_limit"
    TALK = "talk_limit"
    LINGER = "linger"


class Deadline(Generic[T]):
    """One deadline. `target` is None once it is cancelled or has fired."""

    __slots__ = ("at_ms", "limit", "since_ms", "target")

    def __init__(self, at_ms: int, limit: Limit, since_ms: int, target: T) -> None:
        self.at_ms = at_ms
        self.limit = limit
        self.since_ms = since_ms
        self.target: T | None = target


class Deadlines(Generic[T]):
    """A heap of deadlines."""

    __slots__ = ("_added", "_dead", "_first_ms", "_heap")

    def __init__(self) -> None:
        # The number breaks ties, in the order of adding, so that no deadline is ever compared.
        self._heap: list[tuple[int, int, Deadline[T]]] = []
        self._added = 0
        self._dead = 0
        # Nothing is due before this; what was due then may have been cancelled.
        self._first_ms = _NEVER

    def add(self, at_ms: int, limit: Limit, since_ms: int, target: T) -> Deadline[T]:
        deadline = Deadline(at_ms, limit, since_ms, target)
        self._added += 1
        heappush(self._heap, (at_ms, self._added, deadline))
        self._first_ms = self._heap[0][0]
        return deadline

    def cancel(self, deadline: Deadline[T]) -> None:
        if deadline.target is None:
            return
        deadline.target = None
        self._dead += 1
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].target is not None]
            heapify(self._heap)
            self._dead = 0

    @property
    def next_ms(self) -> int | None:
        """When the first one is due, or None."""
        heap = self._heap
        while heap and heap[0][2].target is None:
            heappop(heap)
            self._dead -= 1
        if not heap:
            self._first_ms = _NEVER
            return None
        first = self._first_ms = heap[0][0]
        return first

    def may_be_due(self, now_ms: int) -> bool:
        """Whether `pop_due` is worth a look. For every event, so as cheap as it can be."""
        return self._first_ms <= now_ms

    def pop_due(self, now_ms: int) -> Deadline[T] | None:
        """The earliest deadline at or before now; its target is still set."""
        first = self.next_ms
        if first is None or first > now_ms:
            return None
        return heappop(self._heap)[2]

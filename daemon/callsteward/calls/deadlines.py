"""Moments at which something will be too late, on Asterisk's clock.

A cancelled deadline lets go of its target at once and its entry is dropped when due or when half of
the heap is dead (as asyncio's loop does it), so an hour-long limit keeps no ended call alive.
"""

from __future__ import annotations

import heapq
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


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

    def __lt__(self, other: Deadline[T]) -> bool:
        return self.at_ms < other.at_ms


class Deadlines(Generic[T]):
    """A heap of deadlines."""

    __slots__ = ("_dead", "_heap")

    def __init__(self) -> None:
        self._heap: list[Deadline[T]] = []
        self._dead = 0

    def add(self, at_ms: int, limit: Limit, since_ms: int, target: T) -> Deadline[T]:
        deadline = Deadline(at_ms, limit, since_ms, target)
        heapq.heappush(self._heap, deadline)
        return deadline

    def cancel(self, deadline: Deadline[T]) -> None:
        if deadline.target is None:
            return
        deadline.target = None
        self._dead += 1
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item.target is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    @property
    def next_ms(self) -> int | None:
        """When the first one is due, or None."""
        heap = self._heap
        while heap and heap[0].target is None:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0].at_ms if heap else None

    def pop_due(self, now_ms: int) -> Deadline[T] | None:
        """The earliest deadline at or before now; its target is still set."""
        first = self.next_ms
        if first is None or first > now_ms:
            return None
        return heapq.heappop(self._heap)

    def __len__(self) -> int:
        return len(self._heap) - self._dead

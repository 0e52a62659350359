"""Spans of time and their sums: talk, holds, speech, silences. Pure functions.

A span is (start, end) in ms since 1970, end >= start. A list of spans that went through `union` is sorted and
has no overlaps.
"""

from __future__ import annotations

from array import array
from typing import Final

Spans = list[tuple[int, int]]

_UNPACKED: Final = 32
# Earlier than every moment that occurs.
_BEFORE: Final = -(1 << 61)


class Spoken:
    """Spans in the order added, in little memory: the latest as they came, the others packed."""

    __slots__ = ("_latest", "_packed")

    def __init__(self) -> None:
        # Two numbers for a span. An array is expensive to create and to append to; most calls need none.
        self._latest: list[int] = []
        self._packed: array[int] | None = None

    def add(self, start: int, end: int) -> None:
        latest = self._latest
        if len(latest) >= _UNPACKED:
            if self._packed is None:
                self._packed = array("q")
            self._packed.extend(latest)
            latest = self._latest = []
        latest.append(start)
        latest.append(end)

    def move(self, by_ms: int) -> None:
        """Move all spans by this much."""
        self._latest = [moment + by_ms for moment in self._latest]
        if self._packed is not None:
            self._packed = array("q", [moment + by_ms for moment in self._packed])

    def spans(self) -> Spans:
        """All spans, in the order added."""
        numbers = self._latest
        if self._packed is not None:
            numbers = self._packed.tolist() + numbers
        return [(numbers[at], numbers[at + 1]) for at in range(0, len(numbers), 2)]


def union(spans: Spans) -> list[tuple[int, int]]:
    """The spans sorted, those that touch or overlap joined, empty ones dropped."""
    # Most are so already (one talk, one side's speech as it was heard): those are returned unchanged.
    reach = _BEFORE
    for start, end in spans:
        if start <= reach or end <= start:
            return _merged(sorted(spans))
        reach = end
    return spans


def _merged(spans: Spans) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    reach = _BEFORE
    for start, end in spans:
        if end <= start:
            continue
        if start > reach:
            merged.append((start, end))
            reach = end
        elif end > reach:
            merged[-1] = (merged[-1][0], end)
            reach = end
    return merged


def total(spans: Spans) -> int:
    """The sum in milliseconds of spans without overlaps."""
    length = 0
    for start, end in spans:
        length += end - start
    return length


def intersection(left: Spans, right: Spans) -> list[tuple[int, int]]:
    """Where both lists have a span; each without overlaps."""
    if not left or not right:
        return []
    # Speech during a talk without holds lies wholly within the talk.
    if len(right) == 1 and right[0][0] <= left[0][0] and left[-1][1] <= right[0][1]:
        return left
    common: list[tuple[int, int]] = []
    i = j = 0
    left_start, left_end = left[0]
    right_start, right_end = right[0]
    while True:
        start, end = max(left_start, right_start), min(left_end, right_end)
        if start < end:
            common.append((start, end))
        # On to the span after the one that ends first.
        if left_end < right_end:
            i += 1
            if i == len(left):
                return common
            left_start, left_end = left[i]
        else:
            j += 1
            if j == len(right):
                return common
            right_start, right_end = right[j]


def difference(left: Spans, right: Spans, at_least_ms: int = 1) -> list[tuple[int, int]]:
    """Where `left` has a span and `right` has none, for at least `at_least_ms`; each without overlaps."""
    rest: list[tuple[int, int]] = []
    j = 0
    for span_start, end in left:
        start = span_start
        if end - start < at_least_ms:
            continue  # most talks have no room for a long silence
        while j < len(right) and right[j][1] <= start:
            j += 1
        k = j
        while k < len(right):
            hole_start, hole_end = right[k]
            if hole_start >= end:
                break
            if hole_start - start >= at_least_ms:
                rest.append((start, hole_start))
            start = max(start, hole_end)
            k += 1
        if end - start >= at_least_ms:
            rest.append((start, end))
    return rest


def silences(conversation: Spans, speech: Spans, at_least_ms: int) -> list[tuple[int, int]]:
    """Pauses of at least a length: within a conversation (talk without holds), without that speech."""
    return difference(conversation, speech, max(at_least_ms, 1))


def interruptions(by: Spans, over: Spans, at_least_ms: int) -> int:
    """How often one side began to speak while the other was speaking, and went on over it.

    If both begin at once, nobody interrupted. The overlap counts from `at_least_ms` on, so that a listener's
    "yes" is no interruption.
    """
    count = 0
    j = 0
    for start, end in by:
        while j < len(over) and over[j][1] <= start:
            j += 1
        if j == len(over):
            break
        over_start, over_end = over[j]
        if over_start < start and min(end, over_end) - start >= at_least_ms:
            count += 1
    return count

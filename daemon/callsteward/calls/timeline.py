"""Spans of time and what they add up to: talk, holds, speech, silences. Pure functions.

A span is (start, end) in ms since 1970, end >= start. A list of spans that went through `union` is
sorted and has no overlaps.
"""

from __future__ import annotations

from array import array
from typing import Final

Spans = list[tuple[int, int]]

_UNPACKED: Final = 32


class Spoken:
    """Spans as they are added, small however many: the latest as they came, the rest packed."""

    __slots__ = ("_latest", "_packed")

    def __init__(self) -> None:
        # Two numbers a span. An array is dear to make and to append to; most calls need none.
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
        """All of them, by so much."""
        self._latest = [moment + by_ms for moment in self._latest]
        if self._packed is not None:
            self._packed = array("q", [moment + by_ms for moment in self._packed])

    def spans(self) -> Spans:
        """All of them, in the order of adding."""
        numbers = self._latest
        if self._packed is not None:
            numbers = self._packed.tolist() + numbers
        return [(numbers[at], numbers[at + 1]) for at in range(0, len(numbers), 2)]


def union(spans: Spans) -> list[tuple[int, int]]:
    """The spans sorted, those that touch or overlap made one, empty ones dropped."""
    # Most calls have one talk, and many one hold or one word.
    if len(spans) < 2:
        return [(start, end) for start, end in spans if end > start]
    merged: list[tuple[int, int]] = []
    reach = 0
    for span in _ordered(spans):
        start, end = span
        if end <= start:
            continue
        if merged and start <= reach:
            if end > reach:
                merged[-1] = (merged[-1][0], end)
                reach = end
        else:
            merged.append(span)
            reach = end
    return merged


def _ordered(spans: Spans) -> Spans:
    """Sorted; mostly they are, and then these very ones."""
    before = spans[0][0]
    for start, _ in spans:
        if start < before:
            return sorted(spans)
        before = start
    return spans


def total(spans: Spans) -> int:
    """Milliseconds in all, of spans without overlaps."""
    length = 0
    for start, end in spans:
        length += end - start
    return length


def intersection(left: Spans, right: Spans) -> list[tuple[int, int]]:
    """Where both are; each without overlaps."""
    if not left or not right:
        return []
    # What was said in one talk without holds lies in it whole.
    if len(right) == 1 and right[0][0] <= left[0][0] and left[-1][1] <= right[0][1]:
        return list(left)
    common: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        left_start, left_end = left[i]
        right_start, end = right[j]
        start = max(left_start, right_start)
        if left_end < end:
            end = left_end
            i += 1
        else:
            j += 1
        if start < end:
            common.append((start, end))
    return common


def difference(left: Spans, right: Spans) -> list[tuple[int, int]]:
    """Where left is and right is not; each without overlaps."""
    if not right:
        return list(left)
    rest: list[tuple[int, int]] = []
    j = 0
    for span_start, end in left:
        start = span_start
        while j < len(right) and right[j][1] <= start:
            j += 1
        k = j
        while k < len(right):
            hole_start, hole_end = right[k]
            if hole_start >= end:
                break
            if hole_start > start:
                rest.append((start, hole_start))
            start = max(start, hole_end)
            k += 1
        if start < end:
            rest.append((start, end))
    return rest


def silences(conversation: Spans, speech: Spans, at_least_ms: int) -> list[tuple[int, int]]:
    """Pauses of at least a length: in a conversation (talk without holds) with nobody speaking."""
    # Most talks are too short to hold one.
    roomy = [span for span in conversation if span[1] - span[0] >= at_least_ms]
    if not roomy:
        return []
    return [(start, end) for start, end in difference(roomy, speech) if end - start >= at_least_ms]


def interruptions(by: Spans, over: Spans, at_least_ms: int) -> int:
    """How often one side began to speak while the other was speaking, and went on over it.

    Both begin at once: nobody interrupted. The overlap counts from `at_least_ms` on, so that a "yes"
    of a listener is none.
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

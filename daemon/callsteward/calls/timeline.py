"""Spans of time and what they add up to: talk, holds, speech, silences. Pure functions.

A span is (start, end) in ms since 1970, end >= start. A list of spans that went through `union` is
sorted and has no overlaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

Spans = Sequence[tuple[int, int]]


def union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans sorted, those that touch or overlap made one, empty ones dropped."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def total(spans: Spans) -> int:
    """Milliseconds in all, of spans without overlaps."""
    return sum(end - start for start, end in spans)


def intersection(left: Spans, right: Spans) -> list[tuple[int, int]]:
    """Where both are; each without overlaps."""
    common: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        left_start, left_end = left[i]
        right_start, right_end = right[j]
        start = max(right_start, left_start)
        if left_end < right_end:
            end = left_end
            i += 1
        else:
            end = right_end
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
        while k < len(right) and right[k][0] < end:
            if right[k][0] > start:
                rest.append((start, right[k][0]))
            start = max(start, right[k][1])
            k += 1
        if start < end:
            rest.append((start, end))
    return rest


def silences(conversation: Spans, speech: Spans, at_least_ms: int) -> list[tuple[int, int]]:
    """Pauses of at least a length: in a conversation (talk without holds) with nobody speaking."""
    return [(start, end) for start, end in difference(conversation, speech) if end - start >= at_least_ms]


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
        if j < len(over) and over[j][0] < start and min(end, over[j][1]) - start >= at_least_ms:
            count += 1
    return count


def is_sorted(spans: Spans) -> bool:
    """Whether spans are sorted and without overlaps (what `union` gives)."""
    return all(left[1] <= right[0] for left, right in pairwise(spans))

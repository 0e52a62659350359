"""How long an operator's phone could be reached and was free, by the device states that Asterisk reports.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

# ast_devstate_str, main/devicestate.c: in any other state Asterisk can ring the phone, or it is in use.
_AWAY = frozenset({"UNKNOWN", "INVALID", "UNAVAILABLE"})
_FREE = "NOT_INUSE"


class Change(msgspec.Struct, frozen=True, gc=False):
    """From `at_ms` on the phone had this state; None: from then on nobody watched it."""

    at_ms: int
    state: str | None


def staffed_and_available_ms(
    changes: Sequence[Change], observed: Sequence[tuple[int, int]], start_ms: int, end_ms: int
) -> tuple[int | None, int | None]:
    """Milliseconds staffed and available within [start_ms, end_ms), of the observed part of it.

    `changes` in order of time, including the last one before the interval; `observed` are the spans in which
    the daemon watched. None if the state was not known at some observed moment, or nothing was observed.
    """
    staffed = available = 0
    spans = [(max(a, start_ms), min(b, end_ms)) for a, b in observed]
    spans = [(a, b) for a, b in spans if a < b]
    if not spans:
        return None, None
    for begins, ends in spans:
        state: str | None = None
        at = begins
        for change in [*changes, Change(ends, None)]:
            if change.at_ms > at:
                until = min(change.at_ms, ends)
                if state is None:
                    return None, None
                staffed += (until - at) * (state not in _AWAY)
                available += (until - at) * (state == _FREE)
                at = until
            if change.at_ms >= ends:
                break
            state = change.state
    return staffed, available


def overlap_ms(spans: Sequence[tuple[int, int]], start_ms: int, end_ms: int) -> int:
    """How much of [start_ms, end_ms) the spans cover together; they may overlap."""
    total, until = 0, start_ms
    for begins, ends in sorted(spans):
        begins, ends = max(begins, until), min(ends, end_ms)  # noqa: PLW2901
        if begins < ends:
            total += ends - begins
            until = ends
    return total

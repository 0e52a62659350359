"""Asterisk's clock was set while calls were on: their past is converted to the new time.

Every moment that the tracker keeps of a call in progress moves by as much as the clock did. So its spans keep
their length, limits run out when they are due, and its beginning has the date it would have had if the clock
had been right from the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from callsteward.calls.desk import Desk, OperatorLeft

if TYPE_CHECKING:
    from callsteward.calls.model import Call, Leg, TrackedAttempt


def redate(desk: Desk, legs: Iterable[Leg], calls: Iterable[Call], by_ms: int) -> None:
    """Move every kept moment by `by_ms`, including running limits and the calls operators left last."""
    attempts: dict[TrackedAttempt, None] = {}
    for leg in legs:
        _leg(leg, by_ms)
        if leg.attempt is not None:
            attempts[leg.attempt] = None
    for call in calls:
        _call(call, by_ms)
        attempts.update(dict.fromkeys(call.attempts))
    for attempt in attempts:
        attempt.dial_ms += by_ms
        attempt.ring_ms = _moved(attempt.ring_ms, by_ms)
        attempt.end_ms = _moved(attempt.end_ms, by_ms)
    desk.deadlines.move(by_ms)
    for operator, left in desk.left.items():
        desk.left[operator] = OperatorLeft(left.call_id, left.line, left.at_ms + by_ms)


def _moved(ms: int | None, by_ms: int) -> int | None:
    return None if ms is None else ms + by_ms


def _leg(leg: Leg, by_ms: int) -> None:
    leg.created_ms += by_ms
    leg.joined_ms = _moved(leg.joined_ms, by_ms)
    leg.hung_up_ms = _moved(leg.hung_up_ms, by_ms)
    leg.hold_ms = _moved(leg.hold_ms, by_ms)
    leg.talking_ms = _moved(leg.talking_ms, by_ms)


def _call(call: Call, by_ms: int) -> None:
    call.created_ms += by_ms
    call.started_ms += by_ms
    call.quiet_ms += by_ms
    call.answered_ms = _moved(call.answered_ms, by_ms)
    call.client_up_ms = _moved(call.client_up_ms, by_ms)
    call.contact_ms = _moved(call.contact_ms, by_ms)
    call.ended_ms = _moved(call.ended_ms, by_ms)
    call.died_ms = _moved(call.died_ms, by_ms)
    call.handed_over_ms = _moved(call.handed_over_ms, by_ms)
    call.silent_since_ms = _moved(call.silent_since_ms, by_ms)
    call.talks = [(start + by_ms, end + by_ms) for start, end in call.talks]
    call.holds = tuple([(side, start + by_ms, end + by_ms, who) for side, start, end, who in call.holds])
    call.unobserved = tuple([(_moved(start, by_ms), _moved(end, by_ms)) for start, end in call.unobserved])
    if call.interruption is not None:
        start, end = call.interruption
        call.interruption = start + by_ms, end + by_ms
    for spoken in (call.operator_speech, call.client_speech):
        if spoken is not None:
            spoken.move(by_ms)
    for part in call.parts:
        part.since_ms += by_ms
        part.until_ms = _moved(part.until_ms, by_ms)
    for transfer in call.transfers:
        transfer.at_ms += by_ms
    for request in call.requests:
        request.at_ms += by_ms
    call.tags = tuple(msgspec.structs.replace(said, at_ms=said.at_ms + by_ms) for said in call.tags)

"""Gauges: what lines and operators are doing at this moment, read from the open calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from callsteward.calls.model import Call, Leg
from callsteward.record.call import Direction
from callsteward.record.facts import LineNow, OperatorNow, OperatorState


def lines_now(calls: Iterable[Call]) -> list[LineNow]:
    """Per line: clients waiting (not connected with an operator yet), phones ringing, talks, holds."""
    lines: dict[str, LineNow] = {}
    for call in calls:
        if call.client is None or call.direction is Direction.INTERNAL:
            continue
        line = lines.get(call.line)
        if line is None:
            line = lines[call.line] = LineNow(line=call.line)
        if call.contact or call.waits_for is not None:
            held = (
                call.waits_for is not None
                or call.client.hold_ms is not None
                or any(leg.hold_ms is not None for leg in call.contact)
            )
            if held:
                line.on_hold += 1
            else:
                line.talking += 1
            continue
        if any(leg.attempt is not None and leg.attempt.result is None for leg in call.legs):
            line.ringing += 1
        gone = call.client.hung_up_ms is not None  # the channel may go on in the h extension
        if call.answered_ms is None and call.direction is Direction.INBOUND and not gone:
            line.waiting += 1
            since = line.longest_wait_since_ms
            if since is None or call.started_ms < since:
                line.longest_wait_since_ms = call.started_ms
    return list(lines.values())


_BUSIEST: Final = (
    OperatorState.IDLE,
    OperatorState.RINGING,
    OperatorState.ON_HOLD,
    OperatorState.TALKING,
)


def operators_now(legs: Iterable[Leg]) -> list[OperatorNow]:
    """Each operator who has a channel, with the busiest state of their channels."""
    operators: dict[str, OperatorNow] = {}
    for leg in legs:
        if not leg.is_staff:
            continue
        seen = _state(leg)
        known = operators.get(leg.operator)
        if known is None or _BUSIEST.index(seen.state) > _BUSIEST.index(known.state):
            operators[leg.operator] = seen
    return list(operators.values())


def _state(leg: Leg) -> OperatorNow:
    call = leg.contacts[0] if leg.contacts else leg.call
    since = leg.created_ms
    if leg.hold_ms is not None:
        state, since = OperatorState.ON_HOLD, leg.hold_ms
    elif leg.attempt is not None and leg.attempt.result is None:
        state = OperatorState.RINGING
        since = leg.attempt.ring_ms if leg.attempt.ring_ms is not None else leg.attempt.dial_ms
    else:
        state = OperatorState.TALKING
        if call.contact_ms is not None:
            since = call.contact_ms
    return OperatorNow(
        operator=leg.operator,
        state=state,
        since_ms=since,
        call_id=call.id,
        line=call.line or None,
        hold_since_ms=leg.hold_ms,
    )

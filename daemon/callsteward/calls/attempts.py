"""Operator phones that are dialled: how long they rang and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.calls.callback_id import callback_of
from callsteward.calls.deadlines import Limit
from callsteward.calls.facts import Happening
from callsteward.calls.model import Attempt, Call, Leg
from callsteward.calls.record import AttemptResult, Direction

if TYPE_CHECKING:
    from callsteward.ari.events import Channel
    from callsteward.calls.desk import Desk

# DIALSTATUS as the Dial event carries it (Asterisk: main/dial.c, apps/app_dial.c, app_queue.c).
_RESULTS: Final = {
    "ANSWER": AttemptResult.ANSWERED,
    "NOANSWER": AttemptResult.NO_ANSWER,
    "BUSY": AttemptResult.BUSY,
    "CANCEL": AttemptResult.CANCELLED,
    "CHANUNAVAIL": AttemptResult.UNAVAILABLE,
    "CONGESTION": AttemptResult.FAILED,
}
_PROGRESS: Final = frozenset({"", "RINGING", "PROGRESS", "PROCEEDING"})
# Q.850 causes of a channel that was never answered.
_CAUSES: Final = {
    17: AttemptResult.BUSY,
    18: AttemptResult.NO_ANSWER,
    19: AttemptResult.NO_ANSWER,
    20: AttemptResult.UNAVAILABLE,
    21: AttemptResult.REJECTED,
    0: AttemptResult.CANCELLED,
    16: AttemptResult.CANCELLED,
    26: AttemptResult.CANCELLED,
}
_NEVER_TRIED: Final = frozenset({AttemptResult.BUSY, AttemptResult.UNAVAILABLE, AttemptResult.FAILED})
_ANSWERED: Final = AttemptResult.ANSWERED
_INTERNAL: Final = Direction.INTERNAL
_SAY_RINGING: Final = Happening.RINGING
_SAY_ANSWERED: Final = Happening.ANSWERED
_RING: Final = Limit.RING


def dial(desk: Desk, leg: Leg, status: str, ms: int) -> None:
    """A Dial event about an operator's phone: begins, goes on, or ends with a status."""
    if leg.outsider or not leg.endpoint.person:
        return  # rung on behalf of no operator
    attempt = leg.attempt
    if attempt is None and status == "ANSWER":
        # A pickup: this phone took over a call that rang elsewhere, it did not ring itself.
        if leg.call.answered_ms is None:
            leg.call.answered_ms = ms
        desk.say(leg.call, _SAY_ANSWERED, ms, operator=leg.operator)
        return
    if attempt is None:
        attempt = leg.attempt = Attempt(leg.operator, ms)
        leg.call.attempts.append(attempt)
    if status == "RINGING":
        ringing(desk, leg, ms)
    elif status == "ANSWER":
        answered(desk, leg, ms)
    elif status not in _PROGRESS:
        _close(desk, attempt, _RESULTS.get(status, AttemptResult.FAILED), ms)


def client_dial(desk: Desk, leg: Leg, channel: Channel, caller: Channel | None, status: str) -> None:
    """A Dial event about the client's phone (outbound): whom we call, and how the first dial ended."""
    call = leg.call
    for number in (channel.caller.number, caller.dialplan.exten if caller is not None else ""):
        if desk.numbers.e164(call.client_number) is None and number:
            call.client_number = number
    if status not in _PROGRESS and not call.client_dial:
        call.client_dial = status


def ringing(desk: Desk, leg: Leg, ms: int) -> None:
    """The phone rings, for the first time: here the answer limit starts to run."""
    attempt = leg.attempt
    if attempt is None or attempt.ring_ms is not None or attempt.result is not None:
        return
    attempt.ring_ms = ms
    call = leg.call
    desk.say(call, _SAY_RINGING, ms, operator=leg.operator)
    if call.client is not None and call.direction is not _INTERNAL:
        limit_ms = desk.limits(call.line).ring_ms
        if limit_ms is not None:
            attempt.deadline = desk.deadlines.add(ms + limit_ms, _RING, ms, leg)


def answered(desk: Desk, leg: Leg, ms: int) -> None:
    """The leg is up. An operator's answer is this on a phone that was dialled."""
    leg.up = True
    attempt = leg.attempt
    call = leg.call
    if attempt is not None and attempt.result is None:
        _close(desk, attempt, _ANSWERED, ms)
        _first_answer(desk, leg, attempt, ms)
    elif leg is call.client and leg.dialled and call.answered_ms is None:
        call.answered_ms = ms
        desk.say(call, _SAY_ANSWERED, ms, operator=call.operator)


def _first_answer(desk: Desk, leg: Leg, attempt: Attempt, ms: int) -> None:
    call = leg.call
    if call.answered_ms is None and call.latency_ms is None:
        # A callback rings the operator first; it is answered when the client does.
        if callback_of(call.id) is None:
            call.answered_ms = ms
        since = attempt.ring_ms if attempt.ring_ms is not None else attempt.dial_ms
        call.latency_ms = max(0, ms - since)
    desk.say(call, _SAY_ANSWERED, ms, operator=leg.operator)


def ended(desk: Desk, leg: Leg, ms: int, cause: int) -> None:
    """The channel is gone: an open attempt ends with it, and a refusal is told from a failure."""
    attempt = leg.attempt
    if attempt is None:
        return
    if attempt.result is None:
        _close(desk, attempt, _CAUSES.get(cause, AttemptResult.FAILED), ms)
    elif cause == 21 and attempt.result is not AttemptResult.ANSWERED:
        # Dial reports a 603 as CHANUNAVAIL or CONGESTION; the cause says the person declined.
        attempt.result = AttemptResult.REJECTED


def _close(desk: Desk, attempt: Attempt, result: AttemptResult, ms: int) -> None:
    # A peer can get two terminal statuses (NOANSWER then CANCEL): the first is the true one.
    if attempt.result is None:
        attempt.result = result
        attempt.end_ms = ms
        desk.drop(attempt.deadline)
        attempt.deadline = None


def passed_back(call: Call, leg: Leg) -> bool:
    """Whether a hang-up request on an unanswered caller is Asterisk handing the dial's failure on."""
    if leg.up or call.answered_ms is not None or leg is not call.client or leg.dialled:
        return False
    return bool(call.attempts) and all(
        attempt.result in _NEVER_TRIED or attempt.result is AttemptResult.REJECTED
        for attempt in call.attempts
    )

"""Attempts: operators' phones that are dialled, how long each rang and how it ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callsteward.calls import left_out
from callsteward.calls.deadlines import Limit
from callsteward.calls.model import Call, Leg, TrackedAttempt
from callsteward.calls.provenance import DEEPEST
from callsteward.record.call import AttemptResult, Direction, Outcome
from callsteward.record.callback_id import callback_of
from callsteward.record.facts import Happening
from callsteward.record.rating_id import rating_of

if TYPE_CHECKING:
    from callsteward.ari.events import Dial
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
# Characters between a number and the rest of a dial string: 79031234567@trunk, g1/89031234567,
# trunk/sip:+79031234567@host:5060, user:secret@host/79031234567.
_PARTS: Final = re.compile(r"[^0-9+]+")
# Q.850 causes of a channel that was never answered. Any cause not listed here is a failure.
_CAUSES: Final = {
    1: AttemptResult.UNAVAILABLE,
    2: AttemptResult.UNAVAILABLE,
    3: AttemptResult.UNAVAILABLE,
    17: AttemptResult.BUSY,
    18: AttemptResult.NO_ANSWER,
    19: AttemptResult.NO_ANSWER,
    20: AttemptResult.UNAVAILABLE,
    21: AttemptResult.REJECTED,
    0: AttemptResult.CANCELLED,
    16: AttemptResult.CANCELLED,
    26: AttemptResult.CANCELLED,
}
_DECLINED: Final = 21
# Causes that say nothing of the result (cancelled, or none given): DIALSTATUS decides.
_SAY_NOTHING: Final = frozenset({0, 16, 26, 31, 127})
_OUTCOMES: Final = {
    AttemptResult.NO_ANSWER: Outcome.NO_ANSWER,
    AttemptResult.CANCELLED: Outcome.NO_ANSWER,
    AttemptResult.BUSY: Outcome.BUSY,
    AttemptResult.REJECTED: Outcome.BUSY,
    AttemptResult.UNAVAILABLE: Outcome.FAILED,
    AttemptResult.FAILED: Outcome.FAILED,
}
_NEVER_TRIED: Final = frozenset({AttemptResult.BUSY, AttemptResult.UNAVAILABLE, AttemptResult.FAILED})
_ANSWERED: Final = AttemptResult.ANSWERED
_NO_ANSWER: Final = AttemptResult.NO_ANSWER
_REJECTED: Final = AttemptResult.REJECTED
_CANCELLED: Final = AttemptResult.CANCELLED
_FAILED: Final = AttemptResult.FAILED
_NEVER_ANSWERED: Final = Outcome.NO_ANSWER
_INTERNAL: Final = Direction.INTERNAL
_SAY_RINGING: Final = Happening.RINGING
_SAY_ANSWERED: Final = Happening.ANSWERED
_RING: Final = Limit.RING


def dial(desk: Desk, leg: Leg, status: str, ms: int) -> None:
    """Take in a Dial event about an operator's phone: the dial begins, progresses, or ends with a status."""
    if leg.outsider or not leg.endpoint.person:
        return  # no operator is at this phone's end
    attempt = leg.attempt
    if attempt is None and status == "ANSWER":
        return  # a pickup: this phone took over a call that rang elsewhere; it did not ring itself
    if attempt is None:
        attempt = leg.attempt = TrackedAttempt(leg.operator, ms)
        leg.call.attempts.append(attempt)
        left_out.bound(leg.call)
    if status == "RINGING":
        ringing(desk, leg, ms)
    elif status == "ANSWER":
        answered(desk, leg, ms)
    elif status not in _PROGRESS:
        _close(desk, attempt, _result_of(leg, status), ms)


def _result_of(leg: Leg, status: str) -> AttemptResult:
    """The result of a dial.

    Asterisk also says NOANSWER for a phone that refused; the refusal's cause tells the two apart.
    """
    refused = leg.refused
    if refused == _DECLINED:
        return _REJECTED  # a 603: NOANSWER, CHANUNAVAIL or CONGESTION, depending on the version
    if status == "NOANSWER":
        if refused is not None and refused not in _SAY_NOTHING:
            return _CAUSES.get(refused, _FAILED)
        client = leg.call.client
        if client is not leg and (
            client.hung_up_ms is not None if client is not None else leg.call.client_gone
        ):
            return _CANCELLED  # a program took its dial back, since its client gave up
    return _RESULTS.get(status, _FAILED)


def verdict_on_relay(desk: Desk, relay: Leg, status: str, ms: int) -> None:
    """A queue or a dial gave up on a Local channel, and so on the phones that ring behind it.

    The dials of those phones are cancelled a moment later, which would no longer say how long they rang
    without an answer.
    """
    far = relay.half
    if status != "NOANSWER" or far is None:
        return
    for leg in relay.call.legs:
        if leg.attempt is not None and leg.attempt.result is None and _rings_behind(leg, far):
            _close(desk, leg.attempt, _NO_ANSWER, ms)


def _rings_behind(leg: Leg, far: Leg) -> bool:
    """True if a phone is rung by the far half of a Local channel, or by another Local channel behind that."""
    giver = leg.dialled_by
    for _ in range(DEEPEST):
        if giver is None or giver is far:
            return giver is far
        giver = giver.half.dialled_by if giver.half is not None else None
    return False


def client_dial(desk: Desk, leg: Leg, event: Dial) -> None:
    """Take in a Dial event about the client's phone (outbound): who is called, and how this dial ended."""
    call, caller, status = leg.call, event.caller, event.dialstatus
    if not status or not desk.numbers.readings(call.client_number):
        exten = caller.dialplan.exten if caller is not None else ""
        _find_number(desk, leg, event.dialstring, event.peer.caller.number, exten)
    # A phone can get two terminal statuses: the first one is right.
    if status not in _PROGRESS and not leg.dial_over:
        leg.dial_over = True
        if status != "ANSWER":
            call.client_dial = _OUTCOMES[_result_of(leg, status)]


def _find_number(desk: Desk, leg: Leg, dialstring: str, *others: str) -> None:
    """Find the client's number: as dialled on the trunk, else the extension, which may have a prefix."""
    call = leg.call
    for part in _PARTS.split(dialstring):
        number = _dialled(desk, leg, part)
        if desk.numbers.readings(number):
            call.client_number = number
            return
    for other in others:
        if other and not desk.numbers.readings(call.client_number):
            call.client_number = _dialled(desk, leg, other)


def _dialled(desk: Desk, leg: Leg, part: str) -> str:
    """The number dialled on a trunk, read in the trunk's format if it has one.

    The daemon itself always dials with the country code (`callback.dial`).
    """
    call_id = leg.call.id
    if callback_of(call_id) is not None or rating_of(call_id) is not None:
        number = desk.numbers.e164(f"+{part.removeprefix('+')}")
        if number is not None:
            return number
    form = leg.endpoint.numbers
    if form is None:
        return part
    number = desk.numbers.e164(desk.numbers.delivered(part, form))
    return part if number is None else number


def ringing(desk: Desk, leg: Leg, ms: int) -> None:
    """A phone rings for the first time: from now on the answer limit runs."""
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
    """A leg is up. For an operator's phone that was dialled, this is the answer."""
    leg.up = leg.lifted = True
    attempt = leg.attempt
    call = leg.call
    if attempt is not None and attempt.result is None:
        _close(desk, attempt, _ANSWERED, ms)
    elif leg is call.client and leg.dialled:
        call.client_up_ms = ms
        if call.answered_ms is None and rating_of(call.id) is not None:
            # A rating call is the only call without an operator: the client answers, and the menu asks.
            call.answered_ms = ms
            desk.say(call, _SAY_ANSWERED, ms, operator=call.operator)


def latency_ms(leg: Leg) -> int | None:
    """How long a phone rang before it was answered; None if it did not ring."""
    attempt = leg.attempt
    if attempt is None or attempt.end_ms is None or attempt.result is not _ANSWERED:
        return None
    since = attempt.dial_ms if attempt.ring_ms is None else attempt.ring_ms
    return max(0, attempt.end_ms - since)


def ended(desk: Desk, leg: Leg, ms: int, cause: int) -> None:
    """A channel is gone: its open attempt ends with it, as a refusal or as a failure."""
    attempt, call = leg.attempt, leg.call
    result = _CAUSES.get(cause, _FAILED)
    # If the request of a refusal had no cause (Asterisk 16 and 18 over IAX2 and ISDN), only the end has it.
    refused = cause not in _SAY_NOTHING
    if attempt is None:
        # The client was called by a program: the channel's end is the only end of that dial.
        untold = not leg.dial_over or (refused and call.client_dial is _NEVER_ANSWERED)
        if untold and leg is call.client and leg.dialled and not leg.up:
            call.client_dial = _OUTCOMES[result]
        return
    attempt.over = True
    if attempt.result is None:
        if result is _CANCELLED and _given_up(leg):
            result = _NO_ANSWER
        _close(desk, attempt, result, ms)
    elif cause == _DECLINED and attempt.result is not _ANSWERED:
        # Dial() reports a 603 as CHANUNAVAIL or CONGESTION; the cause says that the person declined.
        attempt.result = result
    elif refused and attempt.result is _NO_ANSWER:
        attempt.result = result


def _given_up(leg: Leg) -> bool:
    """True if a program stopped ringing a phone while its client waits on and no other phone rings.

    When an originate times out, Asterisk 16.28 says no more than cause 0.
    """
    call = leg.call
    client = call.client
    if leg.dialled_by is not None or client is None or client.hung_up_ms is not None or call.contact:
        return False
    return leg.dialled and leg.attempt is not None and leg.attempt.ring_ms is not None


def _close(desk: Desk, attempt: TrackedAttempt, result: AttemptResult, ms: int) -> None:
    # A phone can get two terminal statuses (NOANSWER, then CANCEL): the first one is right.
    if attempt.result is None:
        attempt.result = result
        attempt.end_ms = ms
        desk.drop(attempt.deadline)
        attempt.deadline = None


def passed_back(call: Call, leg: Leg) -> bool:
    """True if a hang-up request on an unanswered caller only passes on the failure of the dial."""
    if leg.up or call.answered_ms is not None or leg is not call.client or leg.dialled:
        return False
    return bool(call.attempts) and all(
        result in _NEVER_TRIED or result is _REJECTED for result in left_out.results(call)
    )

"""The call record of a call that is over: measures, outcome, standard, in the contract's shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from callsteward.calls import interruption, left_out, left_waiting, timeline
from callsteward.calls import outcome as policy
from callsteward.calls.conversation import Conversation
from callsteward.calls.handover import ended_by
from callsteward.calls.hangup import SIMULTANEOUS_MS, HangupRequest, attribute
from callsteward.record import rating_id
from callsteward.record.call import (
    Attempt,
    AttemptResult,
    CallRecord,
    Direction,
    Hold,
    Outcome,
    Party,
    Rating,
    Side,
    Silence,
    Span,
    Transfer,
    TransferResult,
)
from callsteward.record.callback_id import callback_of, origin_of
from callsteward.record.moments import rfc3339, seconds, stamped
from callsteward.record.tag import Tag
from callsteward.standard.rules import Measured

if TYPE_CHECKING:
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Call, TrackedAttempt


_INTERNAL: Final = Direction.INTERNAL
_OPERATOR: Final = Side.OPERATOR
_CLIENT: Final = Side.CLIENT
_CLIENT_PARTY: Final = Party.CLIENT
_CANCELLED: Final = AttemptResult.CANCELLED
_DROPPED: Final = Tag.DROPPED
_NOT_ASKED: Final = Rating("not_asked", "not_configured")


def record_of(desk: Desk, call: Call, last_ms: int) -> CallRecord | None:
    """The record; None for what was no call, such as an operator's phone that reached nobody."""
    if call.client is None and not call.client_gone:
        return None
    direction = call.direction
    rating = rating_id.rating_of(call.id) is not None
    if rating:
        direction = Direction.RATING
    if direction is _INTERNAL and not (call.attempts or call.talks):
        return None
    if call.contact_ms is not None:
        call.talks.append((call.contact_ms, max(call.contact_ms, last_ms)))
        call.contact_ms = None
    started_ms, answered_ms, ended_ms = call.started_ms, call.answered_ms, call.ended_ms
    limits = desk.limits(call.line)
    conversation = Conversation(call, limits.silence_ms)
    connected = answered_ms is not None or bool(call.talks) or call.was_bridged
    wait_ms = None
    if answered_ms is not None:
        wait_ms = answered_ms - started_ms
    elif ended_ms is not None and not connected:
        wait_ms = ended_ms - started_ms
    if connected:
        requests = call.requests
    else:
        requests = tuple([item for item in call.requests if not (item.soft and item.side is _OPERATOR)])
    handed_over = False
    if call.handed_over_ms is not None:
        hangup, handed_over = ended_by(call, requests, limits.abnormal_causes)
    elif call.parted_unseen:
        # The client's later acts, in a menu or a queue, say nothing about who ended the talk.
        hangup = attribute((), (), limits.abnormal_causes, end_seen=False)
    else:
        # A request may also have been lost, or not have been recognised as one of this talk.
        lost = call.interruption is not None and interruption.not_seen_whole(call)
        end_seen = ended_ms is not None and not lost
        hangup = attribute(requests, call.ends, limits.abnormal_causes, end_seen=end_seen, parted=call.parted)
    tagged = None
    if call.tags:
        tagged = next((said for said in call.tags if said.given.tag is _DROPPED), None)
    if tagged is not None:
        hangup = msgspec.structs.replace(hangup, evidence=(*hangup.evidence, tagged.evidence))
    rung, sums = left_out.split(call, _as_they_rang(call.attempts))
    attempts = [
        Attempt(
            item.operator,
            stamped(item.ring_ms if item.ring_ms is not None else item.dial_ms),
            None if item.ring_ms is None or item.end_ms is None else seconds(item.end_ms - item.ring_ms),
            item.result or _CANCELLED,
        )
        for item in rung
    ]
    by_default = False
    if connected and rating:
        outcome = Outcome.COMPLETED
    elif connected:
        signs = _at_the_end(conversation, requests) if hangup.first is _CLIENT_PARTY else ()
        if signs:
            evidence = (*hangup.evidence, *[_HEURISTICS[sign] for sign in signs])
            hangup = msgspec.structs.replace(hangup, evidence=evidence)
        heard = conversation.greeted(limits.greeting_ms, _unheard_ms(call, conversation))
        by_default = not heard and _greeting_unseen(call)
        outcome = policy.connected(
            direction,
            hangup,
            greeted=heard or by_default,
            heuristic_drop=not limits.drop_on_bye.isdisjoint(signs),
            tagged=tagged is not None,
        )
    else:
        outcome = policy.unanswered(
            call.direction,
            hangup,
            [result or _CANCELLED for result in left_out.results(call)],
            call.client_dial,
            seconds(wait_ms),
            limits.short_abandon_s,
            client_up=call.client_up_ms is not None,
        )
    seen = _beginning_seen(call, limits.greeting_within_ms)
    speech = conversation.speech(limits.interruption_ms, call.talks[0][0] if seen and call.talks else None)
    waited = None if rating or direction is _INTERNAL else left_waiting.waited_ms(call, ended_ms)
    unmeasured = call.begun_unseen or (call.was_bridged and not call.talks)
    consulted_ms = timeline.total(conversation.talks)
    measured = Measured(
        direction=direction,
        hung_up_first=Party.UNKNOWN if _hand_over_unseen(desk, call) else hangup.first,
        connected=connected,
        answer_latency_s=seconds(call.latency_ms),
        longest_ring_s=seconds(left_out.longest_ring_ms(call)),
        first_operator_word_s=speech.first_operator_word_s if speech is not None else None,
        greeting_heard=seen and _greeting_heard(call, conversation, limits.greeting_within_ms),
        longest_silence_s=_longest_s(conversation.silences) if conversation.all_heard else None,
        holds_s=_operator_holds_s(desk, call) if call.holds else (),
        consultation_s=consulted_ms / 1000
        if conversation.talks and (not unmeasured or consulted_ms > limits.talk_ms)
        else None,
        operator_interruptions=speech.operator_interruptions if speech is not None else None,
        transfers=sum(not item.to_rating for item in call.transfers) if call.transfers else 0,
        handed_over=handed_over,
        left_waiting=waited is not None,
        tagged=desk.tags,
        ticket=bool(call.tags) and any(said.given.tag is Tag.TICKET for said in call.tags),
        registered_s=_registered_s(call) if call.tags else None,
    )
    number = call.client_number
    origin = rating_id.origin_of(call.id) if rating else origin_of(call.id)
    if not rating:
        direction = direction_of(call)
    return CallRecord(
        call_id=call.id,
        site=desk.site,
        line=call.line or desk.default_line,
        direction=direction,
        client_masked=desk.numbers.masked(number),
        client_ref=desk.numbers.ref(number),
        operator=call.operator if connected else None,
        started_at=rfc3339(started_ms),
        answered_at=rfc3339(answered_ms),
        ended_at=rfc3339(ended_ms),
        wait_s=seconds(wait_ms),
        answer_latency_s=measured.answer_latency_s,
        left_waiting_s=seconds(waited),
        talk_s=None if unmeasured else conversation.talk_ms / 1000,
        hold_s=timeline.total(conversation.held) / 1000,
        duration_s=seconds(None if ended_ms is None else ended_ms - started_ms),
        holds=_holds(call) if call.holds else (),
        silences=_silences(conversation) if conversation.all_heard else None,
        speech=speech,
        attempts=tuple(attempts),
        attempts_left_out=() if sums is None else sums.shown(),
        transfers=_transfers(call) if call.transfers else (),
        hangup=hangup,
        outcome=outcome,
        callback=policy.callback(
            direction,
            outcome,
            hangup,
            tagged=tagged is not None,
            handed_over=handed_over,
            greeted_by_default=by_default,
        ),
        rating=_NOT_ASKED,
        standard=limits.rules.evaluate(measured),
        complete=not call.unobserved,
        unobserved=_unobserved(call) if call.unobserved else (),
        origin_call_id=origin or msgspec.UNSET,
    )


def _rang_ms(attempt: TrackedAttempt) -> int:
    return attempt.dial_ms if attempt.ring_ms is None else attempt.ring_ms


def _as_they_rang(attempts: list[TrackedAttempt]) -> list[TrackedAttempt]:
    """Attempts in the order in which they rang: phones dialled at once may ring in another order."""
    before_ms = 0
    for attempt in attempts:
        rang_ms = _rang_ms(attempt)
        if rang_ms < before_ms:
            return sorted(attempts, key=_rang_ms)
        before_ms = rang_ms
    return attempts  # they rang in the order they were dialled, as most do


def _registered_s(call: Call) -> float | None:
    """Seconds from the talk's end to its registration; 0 if that came earlier, None if it never came."""
    at_ms = min((said.at_ms for said in call.tags if said.given.tag is Tag.REGISTERED), default=None)
    return None if at_ms is None or not call.talks else max(0, at_ms - call.talks[-1][1]) / 1000


def direction_of(call: Call) -> Direction:
    """The direction of the call; a callback is recognised by its channel."""
    return Direction.CALLBACK if callback_of(call.id) is not None else call.direction


def greeted(desk: Desk, call: Call) -> bool:
    """True if the greeting of a finished talk was over, as far as was observed."""
    limits = desk.limits(call.line)
    conversation = Conversation(call, limits.silence_ms)
    heard = conversation.greeted(limits.greeting_ms, _unheard_ms(call, conversation))
    return bool(call.talks) and (heard or _greeting_unseen(call))


def _greeting_unseen(call: Call) -> bool:
    """True if the operator may have greeted unobserved: then the record must not say that they did not."""
    answered_ms = call.answered_ms
    # A talk that ended with Asterisk's death did not go on in the gap after it.
    unobserved = call.unobserved[:-1] if call.died_ms is not None else call.unobserved
    return bool(unobserved) and (
        answered_ms is None or any(end is None or end > answered_ms for _, end in unobserved)
    )


def _hand_over_unseen(desk: Desk, call: Call) -> bool:
    """True if the operator may have handed the client over to the rating unobserved.

    Then the record must not say that they hung up on the client.
    """
    if call.handed_over_ms is not None or not (call.unobserved and call.talks):
        return False
    parted_ms = call.talks[-1][1]
    return desk.asks_after_talk(call.line) and any(
        start is not None and start >= parted_ms for start, _ in call.unobserved
    )


def _unheard_ms(call: Call, conversation: Conversation) -> int:
    """How long a greeting can have gone on unheard before Asterisk died during it."""
    if call.died_ms is None or (conversation.operator_heard and not call.spoke_on):
        return 0
    seen_ms = call.unobserved[-1][0]
    return 0 if seen_ms is None else max(0, call.died_ms - seen_ms)


def _beginning_seen(call: Call, greeting_within_ms: int) -> bool:
    """True if the daemon observed the time in which the operator's first word was due."""
    answered_ms = call.answered_ms
    if answered_ms is None:
        return False
    due_ms = answered_ms + greeting_within_ms
    return not call.unobserved or not any(
        (end is None or end > answered_ms) and (start is None or start < due_ms)
        for start, end in call.unobserved
    )


def _greeting_heard(call: Call, conversation: Conversation, greeting_within_ms: int) -> bool:
    """True if the operator could be heard for as long as the first word was due."""
    return bool(call.talks) and conversation.greeting_heard(call.talks[0][0] + greeting_within_ms)


def _longest_s(silences: timeline.Spans) -> float:
    return max((end - start for start, end in silences), default=0) / 1000 if silences else 0.0


def _operator_holds_s(desk: Desk, call: Call) -> list[tuple[float, float]]:
    return [
        ((end - start) / 1000, desk.hold_limit_s(call.line, operator))
        for side, start, end, operator in call.holds
        if side is _OPERATOR
    ]


def _holds(call: Call) -> tuple[Hold, ...]:
    held = call.holds if len(call.holds) < 2 else sorted(call.holds, key=lambda hold: hold[1:3])
    return tuple([Hold(side, stamped(start), (end - start) / 1000) for side, start, end, _ in held])


def _silences(conversation: Conversation) -> tuple[Silence, ...]:
    return tuple([Silence(stamped(start), (end - start) / 1000) for start, end in conversation.silences])


def _unobserved(call: Call) -> tuple[Span, ...]:
    return tuple(Span(rfc3339(start), rfc3339(end)) for start, end in call.unobserved)


def _transfers(call: Call) -> tuple[Transfer, ...]:
    """The transfers, each completed if somebody other than its giver had the client afterwards."""
    made: list[Transfer] = []
    for item in call.transfers:
        result = item.result or TransferResult.FAILED
        made.append(Transfer(item.kind, item.by, item.to, stamped(item.at_ms), result))
    return tuple(made)


# The speech heuristics of a profile's `drop_on_bye`, as they stand in the evidence.
_HEURISTICS = {
    "operator_mid_word": "the operator was speaking",
    "client_on_hold": "the client was on hold",
}


def _at_the_end(conversation: Conversation, requests: Sequence[HangupRequest]) -> tuple[str, ...]:
    """Which of the heuristics' signs were present when the client ended the talk.

    None of them for a client who was transferred or parked and gave up waiting after that.
    """
    if not conversation.talks:
        return ()
    end = conversation.talks[-1][1]
    asked = next((item for item in requests if item.side is _CLIENT and not item.soft), None)
    if asked is not None and asked.at_ms > end + SIMULTANEOUS_MS:
        return ()
    signs: tuple[str, ...] = ()
    if conversation.operator and end <= conversation.operator[-1][1]:
        signs = ("operator_mid_word",)
    if conversation.held and end <= conversation.held[-1][1]:
        signs = (*signs, "client_on_hold")
    return signs

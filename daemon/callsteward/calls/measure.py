"""The call record of a call that is over: measures, outcome, standard, in the contract's shape."""

from __future__ import annotations

import functools
from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from callsteward.calls import outcome as policy
from callsteward.calls import timeline
from callsteward.calls.callback_id import callback_of, origin_of
from callsteward.calls.hangup import attribute
from callsteward.calls.record import (
    Attempt,
    AttemptResult,
    CallRecord,
    Direction,
    Hangup,
    Hold,
    Outcome,
    Rating,
    Side,
    Silence,
    Span,
    Speech,
    Transfer,
    TransferResult,
)
from callsteward.standard.rules import Measured, evaluate

if TYPE_CHECKING:
    from callsteward.calls.model import Call
    from callsteward.calls.talk import Desk
    from callsteward.standard.profile import Profile


def rfc3339(ms: int | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    return None if ms is None else _rfc3339(ms)


def _rfc3339(ms: int) -> str:
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@functools.lru_cache(maxsize=256)
def _second(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%dT%H:%M:%S}"


def seconds(ms: int | None) -> float | None:
    """Seconds with three decimals; a span that a clock's millisecond turned negative is 0."""
    return None if ms is None else max(0, ms) / 1000


def _spans(speech: array[int] | None) -> list[tuple[int, int]]:
    if speech is None:
        return []
    return timeline.union(zip(speech[::2], speech[1::2], strict=True))


class _Conversation:
    """What was said and held in a call, as spans without overlaps."""

    def __init__(self, call: Call, profile: Profile, *, armed: bool) -> None:
        self.talks = timeline.union(call.talks)
        self.held = timeline.union((start, end) for _, start, end, _ in call.holds)
        self.live = timeline.difference(self.talks, self.held)
        self.operator = timeline.intersection(_spans(call.operator_speech), self.live)
        self.client = timeline.intersection(_spans(call.client_speech), self.live)
        self.listened = bool(self.talks) and (call.heard or armed)
        self.silences = (
            timeline.silences(
                self.live,
                timeline.union([*self.operator, *self.client]),
                int(profile.silence_limit_s * 1000),
            )
            if self.listened
            else []
        )

    def speech(self, profile: Profile, answered_ms: int | None) -> Speech | None:
        if not self.listened:
            return None
        least = int(profile.interruption_min_s * 1000)
        word = self.operator[0][0] - answered_ms if self.operator and answered_ms is not None else None
        return Speech(
            operator_s=timeline.total(self.operator) / 1000,
            client_s=timeline.total(self.client) / 1000,
            overlap_s=timeline.total(timeline.intersection(self.operator, self.client)) / 1000,
            operator_interruptions=timeline.interruptions(self.operator, self.client, least),
            client_interruptions=timeline.interruptions(self.client, self.operator, least),
            first_operator_word_s=seconds(word),
        )

    def greeted(self, profile: Profile) -> bool:
        """Whether the operator had spoken the greeting; without talk detection, had had the time to."""
        spoken = timeline.total(self.operator if self.listened else self.live)
        return spoken >= profile.greeting_s * 1000


def record_of(desk: Desk, call: Call, last_ms: int) -> CallRecord | None:
    """The record, or None for what was no call: an operator's phone that reached nobody."""
    if call.client is None and not call.client_gone:
        return None
    if call.direction is Direction.INTERNAL and not (call.attempts or call.talks):
        return None
    if call.contact_ms is not None:
        call.talks.append((call.contact_ms, max(call.contact_ms, last_ms)))
        call.contact_ms = None
    ended_ms = call.ended_ms
    profile = desk.profile(call.line)
    conversation = _Conversation(call, profile, armed=desk.armed)
    connected = call.answered_ms is not None or bool(call.talks) or call.was_bridged
    started_ms = call.started_ms
    wait_ms = None
    if call.answered_ms is not None:
        wait_ms = call.answered_ms - started_ms
    elif ended_ms is not None and not connected:
        wait_ms = ended_ms - started_ms
    if connected:
        requests = call.requests
    else:
        requests = [item for item in call.requests if not (item.soft and item.side is Side.OPERATOR)]
    hangup = attribute(requests, call.ends, profile.abnormal_causes)
    attempts = [
        Attempt(
            item.operator,
            _rfc3339(item.ring_ms if item.ring_ms is not None else item.dial_ms),
            None if item.ring_ms is None or item.end_ms is None else seconds(item.end_ms - item.ring_ms),
            item.result or AttemptResult.CANCELLED,
        )
        for item in call.attempts
    ]
    if connected:
        outcome = policy.connected(
            call.direction,
            hangup,
            greeted=conversation.greeted(profile) or _greeting_unseen(call),
            heuristic_drop=_heuristic_drop(conversation, profile),
        )
    else:
        outcome = policy.unanswered(
            call.direction,
            hangup,
            [item.result for item in attempts],
            call.client_dial,
            seconds(wait_ms),
            profile.short_abandon_s,
        )
    seen = bool(call.talks) and not _beginning_unseen(desk, call)
    speech = conversation.speech(profile, call.talks[0][0] if seen else None)
    talk_ms = timeline.total(conversation.live)
    hold_ms = timeline.total(conversation.held)
    transfers = _transfers(call)
    checks = evaluate(
        _measured(desk, call, conversation, outcome, hangup, speech, connected=connected), profile
    )
    number = call.client_number
    direction = call.direction if callback_of(call.id) is None else Direction.CALLBACK
    return CallRecord(
        call_id=call.id,
        site=desk.config.site.name,
        line=call.line or desk.config.default_line,
        direction=direction,
        client_masked=desk.numbers.masked(number),
        client_ref=desk.numbers.ref(number),
        operator=call.operator if connected else None,
        started_at=rfc3339(started_ms),
        answered_at=rfc3339(call.answered_ms),
        ended_at=rfc3339(ended_ms),
        wait_s=seconds(wait_ms),
        answer_latency_s=seconds(call.latency_ms),
        talk_s=talk_ms / 1000,
        hold_s=hold_ms / 1000,
        duration_s=seconds(None if ended_ms is None else ended_ms - started_ms),
        holds=tuple(
            Hold(side, _rfc3339(start), (end - start) / 1000)
            for side, start, end, _ in sorted(call.holds, key=lambda hold: hold[1:3])
        ),
        silences=tuple(Silence(_rfc3339(start), (end - start) / 1000) for start, end in conversation.silences)
        if conversation.listened
        else None,
        speech=speech,
        attempts=tuple(attempts),
        transfers=transfers,
        hangup=hangup,
        outcome=outcome,
        callback=policy.callback(direction, outcome, hangup),
        rating=Rating("not_asked", "not_configured"),
        standard=checks,
        complete=not call.unobserved,
        unobserved=tuple(Span(rfc3339(start), rfc3339(end)) for start, end in call.unobserved),
        origin_call_id=origin_of(call.id) or msgspec.UNSET,
    )


def _greeting_unseen(call: Call) -> bool:
    """Whether the operator may have greeted while nobody watched: then nobody is told they did not."""
    answered_ms = call.answered_ms
    return bool(call.unobserved) and (
        answered_ms is None or any(end is None or end > answered_ms for _, end in call.unobserved)
    )


def _beginning_unseen(desk: Desk, call: Call) -> bool:
    """Whether nobody watched when the operator's first word was due."""
    answered_ms = call.answered_ms
    if answered_ms is None:
        return True
    due_ms = answered_ms + int(desk.profile(call.line).greeting_within_s * 1000)
    return any(
        (end is None or end > answered_ms) and (start is None or start < due_ms)
        for start, end in call.unobserved
    )


def _transfers(call: Call) -> tuple[Transfer, ...]:
    """Each transfer, completed where somebody other than its giver had the client afterwards."""
    made: list[Transfer] = []
    for item in call.transfers:
        result = item.result or TransferResult.FAILED
        made.append(Transfer(item.kind, item.by, item.to, _rfc3339(item.at_ms), result))
    return tuple(made)


def _heuristic_drop(conversation: _Conversation, profile: Profile) -> bool:
    """The speech heuristics a profile switched on, at the moment of the hang-up."""
    if not profile.drop_on_bye or not conversation.talks:
        return False
    end = conversation.talks[-1][1]
    mid_word = bool(conversation.operator) and end - conversation.operator[-1][1] <= 0
    on_hold = bool(conversation.held) and end - conversation.held[-1][1] <= 0
    return ("operator_mid_word" in profile.drop_on_bye and mid_word) or (
        "client_on_hold" in profile.drop_on_bye and on_hold
    )


def _measured(
    desk: Desk,
    call: Call,
    conversation: _Conversation,
    outcome: Outcome,
    hangup: Hangup,
    speech: Speech | None,
    *,
    connected: bool,
) -> Measured:
    rings = [
        (item.end_ms - item.ring_ms) / 1000
        for item in call.attempts
        if item.ring_ms is not None and item.end_ms is not None
    ]
    consultation_ms = timeline.total(conversation.talks)
    return Measured(
        direction=call.direction,
        outcome=outcome,
        hung_up_first=hangup.first,
        connected=connected,
        answer_latency_s=seconds(call.latency_ms),
        longest_ring_s=max(rings, default=None),
        first_operator_word_s=speech.first_operator_word_s if speech is not None else None,
        greeting_heard=speech is not None and not _beginning_unseen(desk, call),
        longest_silence_s=max((end - start for start, end in conversation.silences), default=0) / 1000
        if conversation.listened
        else None,
        holds_s=[
            ((end - start) / 1000, desk.hold_limit_s(call.line, operator))
            for side, start, end, operator in call.holds
            if side is Side.OPERATOR
        ],
        consultation_s=consultation_ms / 1000 if conversation.talks else None,
        operator_interruptions=speech.operator_interruptions if speech is not None else None,
        transfers=len(call.transfers),
    )

"""The conversation of a call: whom the client hears, holds, speech, silences, and their limits.

All on Asterisk's clock (ms since 1970). The client's ear decides: an operator who talks to a colleague while
the client waits is not in this conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.calls import left_waiting
from callsteward.calls.attempts import latency_ms
from callsteward.calls.deadlines import Deadline, Limit
from callsteward.calls.hangup import Parted
from callsteward.calls.model import Call, Leg, TrackedBridge
from callsteward.calls.timeline import Spoken
from callsteward.calls.voices import Participation
from callsteward.record.call import Direction, Side, TransferResult
from callsteward.record.facts import Happening

if TYPE_CHECKING:
    from callsteward.calls.desk import Desk

_CLIENT: Final = Side.CLIENT
_OPERATOR: Final = Side.OPERATOR
_SAY_ANSWERED: Final = Happening.ANSWERED
_SAY_HOLD: Final = Happening.HOLD
_SAY_UNHOLD: Final = Happening.UNHOLD
_SAY_SILENCE: Final = Happening.SILENCE
_TALK: Final = Limit.TALK
_HOLD: Final = Limit.HOLD
_SILENCE: Final = Limit.SILENCE
_INTERNAL: Final = Direction.INTERNAL
_COMPLETED: Final = TransferResult.COMPLETED
_FAILED: Final = TransferResult.FAILED
# `value` of an enum's member runs Python code: here it is read once.
_SAID: Final = {side: side.value for side in Side}


def hearers(client: Leg) -> tuple[Leg, ...]:
    """The people to whom a leg is connected, through bridges and Local channels, in order of entry."""
    bridge = client.bridge
    if bridge is None or bridge.holding:
        return ()
    members = bridge.legs
    # The usual talk, without a walk: one comes into the bridge, then the other.
    if len(members) == 1:
        return ()
    if len(members) == 2:
        other = members[1] if members[0] is client else members[0]
        endpoint = other.endpoint
        if endpoint.person:
            return (other,)
        if endpoint.is_machine:
            return ()
    return tuple([leg for leg in _walk(bridge) if leg is not client])


def beyond(relay: Leg) -> list[Leg]:
    """The people at the far end of a Local channel."""
    far = relay.half.bridge if relay.half is not None else None
    return [] if far is None or far.holding else _walk(far)


def _walk(start: TrackedBridge) -> list[Leg]:
    """Everybody in a bridge and in the bridges that Local channels join to it, in order of entry."""
    found: list[Leg] = []
    seen: set[int] = {id(start)}
    todo: list[TrackedBridge] = [start]
    while todo:
        for leg in todo.pop().legs:
            if leg.endpoint.is_relay:
                far = leg.half.bridge if leg.half is not None else None
                if far is not None and not far.holding and id(far) not in seen:
                    seen.add(id(far))
                    todo.append(far)
            elif leg.endpoint.person:
                found.append(leg)
    return found


def regroup(desk: Desk, call: Call, ms: int) -> None:
    """Update the call's conversation to those whom the client hears now."""
    client = call.client
    now = hearers(client) if client is not None else ()
    before = call.contact
    if now == before or (len(now) == len(before) and all(leg in before for leg in now)):
        return
    call.contact = now
    for leg in before:
        if leg not in now:
            _leave(desk, call, leg, ms, talk_goes_on=bool(now))
            _close_part(call, leg, ms)
    if not now:
        _end(desk, call, before, ms)
        return
    if not before:
        _begin(desk, call, ms)
    for leg in now:
        if leg not in before:
            _take_part(desk, call, leg, ms)
            _open_part(desk, call, leg, ms)
    if client is not None:
        _clients_part(desk, call, client, ms)
    if not before and call.answered_ms == ms:
        for leg in now:
            if not leg.outsider:
                break  # whose own answer was reported
        else:
            desk.say(call, _SAY_ANSWERED, ms, operator=call.operator)
    if before:
        staff = [leg.operator for leg in now if not leg.outsider]
        if staff and call.operator not in staff:
            call.operator = staff[-1]
    _quiet_from(desk, call, ms)


def _take_part(desk: Desk, call: Call, leg: Leg, ms: int) -> None:
    leg.contacts += (call,)
    if not leg.outsider:
        call.operator = leg.operator
        if leg.told_in != call.id and _seen_to_connect(call, leg):
            leg.told_in = call.id
            desk.say(call, _SAY_ANSWERED, ms, operator=leg.operator)
    # A transfer is completed by the first operator who then has the client; it failed if that is its giver.
    for transfer in call.transfers:
        if transfer.result is None:
            came_back = leg.operator == transfer.by
            if transfer.to is None and not came_back and not leg.outsider:
                transfer.to = leg.operator
            transfer.result = _FAILED if came_back else _COMPLETED


def _seen_to_connect(call: Call, leg: Leg) -> bool:
    """True if a leg and the client come together now; two that were met together may have talked before.

    An agent who was on the line already when the stream began takes clients who call in afterwards.
    """
    if leg.joined_ms is None or leg.lifted:
        return True
    return leg.entered and call.client is not None and call.client.joined_ms is None


def _begin(desk: Desk, call: Call, ms: int) -> None:
    call.contact_ms = ms
    call.waits_since_ms = None
    client = call.client
    if client is not None and client.joined_ms is not None and client.placed:
        call.begun_unseen = call.begun_unseen or all(leg.placed for leg in call.contact)
    if call.waits_for is not None:
        close_hold(desk, call.waits_for, ms, only=call)
    # Earlier requests belong to an earlier talk of the same call (a transfer, a second queue).
    call.requests = ()
    call.ends = ()
    call.handed_over_ms = None
    call.parted = None
    call.parted_unseen = False
    call.last_contact = ()
    if call.answered_ms is None:
        _answered(call, ms)
    if call.talk_limit is None and call.line:
        # The limit counts the talks together, without the wait for a colleague between two of them.
        since = ms - sum(end - start for start, end in call.talks)
        call.talk_limit = desk.deadlines.add(since + desk.limits(call.line).talk_ms, _TALK, since, call)


def _answered(call: Call, ms: int) -> None:
    """Client and operator are connected for the first time, and the daemon saw them come together."""
    latency: int | None = None
    for leg in call.contact:
        if not _seen_to_connect(call, leg):
            return
        if latency is None:
            latency = latency_ms(leg)
    call.answered_ms = ms
    call.latency_ms = latency


def _leave(desk: Desk, call: Call, leg: Leg, ms: int, *, talk_goes_on: bool) -> None:
    if talk_goes_on or call.client is None:
        if leg.hold_ms is not None:
            close_hold(desk, leg, ms, only=call)
    elif leg.hold_ms is not None:
        # It left to ask a colleague: the client still waits until somebody is back.
        call.waits_for = leg
        leg.awaited_by = (*leg.awaited_by, call)
    if leg.talking_ms is not None:
        close_speech(leg, ms, only=call)
    if desk.tags and not leg.outsider and call.direction is not _INTERNAL:
        desk.leave(leg.operator, call, ms)
    if leg.contacts == (call,):
        leg.contacts = ()
    else:
        leg.contacts = tuple(item for item in leg.contacts if item is not call)
    if talk_goes_on and call.requests:
        # It left a conversation that went on without it: that hang-up ended nothing.
        call.requests = tuple([item for item in call.requests if item.channel != leg.name])


def _parted(client: Leg | None, before: tuple[Leg, ...]) -> Parted:
    causes: tuple[int, ...] = ()
    if client is not None and client.inherited is not None:
        causes = tuple(client.inherited)
    if client is None or client.bridge is None:
        return Parted(_CLIENT, causes)
    for leg in before:
        if leg.bridge is None:
            return Parted(_OPERATOR, causes)
    return Parted(None, causes)


def _end(desk: Desk, call: Call, before: tuple[Leg, ...], ms: int) -> None:
    if call.contact_ms is not None:
        call.talks.append((call.contact_ms, max(ms, call.contact_ms)))
    call.contact_ms = None
    left_waiting.parted(call)
    call.last_contact = before
    client = call.client
    call.parted = _parted(client, before)
    _close_clients_part(call, ms)
    if client is not None:
        if client.hold_ms is not None:
            close_hold(desk, client, ms, only=call)
        if client.talking_ms is not None:
            close_speech(client, ms, only=call)
    call.silent_since_ms = None
    if call.talk_limit is not None and call.talk_limit.target is not None:
        desk.drop(call.talk_limit)
        call.talk_limit = None


def cut_off(call: Call, ms: int) -> None:
    """The client was gone at that moment, whenever Asterisk took their channel out of the bridge."""
    if call.talks and call.talks[-1][1] > ms:
        start = call.talks[-1][0]
        call.talks[-1] = (min(start, ms), ms)
    if call.holds:
        cut = [(side, min(start, ms), min(end, ms), operator) for side, start, end, operator in call.holds]
        call.holds = tuple(cut)


# --- holds -------------------------------------------------------------------------------------------


def _conversations(leg: Leg) -> tuple[Call, ...]:
    """The calls in whose conversation a leg takes part, on either side."""
    call = leg.call
    if call.client is leg and call.contact:
        return (*leg.contacts, call) if leg.contacts else (call,)
    return leg.contacts


def hold(desk: Desk, leg: Leg, ms: int) -> None:
    """The phone put the other side on hold."""
    calls = _conversations(leg)
    if not calls or leg.hold_ms is not None:
        return
    leg.hold_ms = ms
    close_speech(leg, ms)
    for call in calls:
        side = call.side(leg)
        call.silent_since_ms = None
        desk.say(call, _SAY_HOLD, ms, operator=call.operator, by=_SAID[side] if side else None)
        if side is _OPERATOR and leg.hold_deadline is None:
            limit_ms = int(desk.hold_limit_s(call.line, leg.operator) * 1000)
            leg.hold_deadline = desk.deadlines.add(ms + limit_ms, _HOLD, ms, leg)


def unhold(desk: Desk, leg: Leg, ms: int) -> None:
    """The phone took the other side off hold.

    An unhold without a hold occurs (before a blind transfer) and means nothing.
    """
    if leg.hold_ms is not None:
        close_hold(desk, leg, ms)


def close_hold(desk: Desk, leg: Leg, ms: int, only: Call | None = None) -> None:
    """End an open hold: the phone came back, left the conversation, or the call ended.

    `only`: for that call. Others whose client the phone still holds (a conference) go on waiting.
    """
    start = leg.hold_ms
    if start is None:
        return
    calls = tuple(dict.fromkeys((*_conversations(leg), *leg.awaited_by)))
    others: tuple[Call, ...] = ()
    if only is not None:
        others = tuple(call for call in calls if call is not only)
        calls = (only,)
    leg.awaited_by = tuple(call for call in leg.awaited_by if call in others)
    for call in calls:
        call.waits_for = None
        client = call.client
        side = _CLIENT if client is leg else _OPERATOR
        end = max(ms, start)
        if client is not None and client.hung_up_ms is not None:
            end = max(start, min(end, client.hung_up_ms))  # as the record has it: `cut_off`
        call.holds = (*call.holds, (side, start, end, leg.operator))
        desk.say(
            call,
            _SAY_UNHOLD,
            ms,
            operator=call.operator,
            by=_SAID[side],
            duration_ms=end - start,
        )
    if not others:
        leg.hold_ms = None
        desk.drop(leg.hold_deadline)
        leg.hold_deadline = None
    for call in calls:
        _quiet_from(desk, call, ms)


# --- speech ------------------------------------------------------------------------------------------


def _open_part(desk: Desk, call: Call, leg: Leg, ms: int) -> Participation:
    """Somebody takes part in the conversation from now on."""
    voice = leg.voice
    if voice is None:
        voice = leg.voice = desk.voices.of(leg.endpoint)
    part = Participation(leg, voice, ms)
    call.parts += (part,)
    return part


def _clients_part(desk: Desk, call: Call, client: Leg, ms: int) -> None:
    """The client takes part: one part for the same client, however many operators come and go."""
    part = call.clients_part
    if part is None or part.leg is not client:
        if part is not None:
            part.close(ms)
        part = call.clients_part = _open_part(desk, call, client, ms)
        part.client = True


def _close_part(call: Call, leg: Leg, ms: int) -> None:
    for part in reversed(call.parts):
        if part.leg is leg and not part.client:
            part.close(ms)
            return


def _close_clients_part(call: Call, ms: int) -> None:
    if call.clients_part is not None:
        call.clients_part.close(ms)
        call.clients_part = None


def speech_started(leg: Leg, ms: int) -> None:
    """The talk detector heard the phone's side begin to speak."""
    if leg.talking_ms is None:
        leg.talking_ms = ms
    for call in _conversations(leg):
        call.silent_since_ms = None


def speech_finished(desk: Desk, leg: Leg, ms: int, duration_ms: int) -> None:
    """The detector heard speech end, `silence_ms` ago; `duration_ms` is the speech alone.

    A duration can be negative in odd cases (Asterisk issue 80). After a hold it can come without a start,
    since no RTP flowed while the detector waited for the end.
    """
    start = leg.talking_ms
    end = ms - desk.silence_ms
    if start is None:
        start = end - max(0, duration_ms)
    elif duration_ms > 0:
        end = min(ms, start + duration_ms)
    leg.talking_ms = None
    for call in _conversations(leg):
        _spoken(call, leg, start, end)
        _quiet_from(desk, call, end)


def close_speech(leg: Leg, ms: int, only: Call | None = None) -> None:
    """Close speech that was still open when the phone held or left: no end of it will be heard."""
    start = leg.talking_ms
    if start is None:
        return
    for call in (only,) if only is not None else _conversations(leg):
        _spoken(call, leg, start, ms)
        call.quiet_ms = max(call.quiet_ms, ms)
    if only is None:
        leg.talking_ms = None


def _spoken(call: Call, leg: Leg, start: int, end: int) -> None:
    if end <= start:
        return
    if call.client is leg:
        speech = call.client_speech
        if speech is None:
            speech = call.client_speech = Spoken()
    else:
        speech = call.operator_speech
        if speech is None:
            speech = call.operator_speech = Spoken()
    speech.add(start, end)


def _quiet_from(desk: Desk, call: Call, ms: int) -> None:
    """Somebody stopped speaking (or a hold ended) at `ms`: if now all are quiet, the limit runs."""
    quiet_ms = call.quiet_ms = max(call.quiet_ms, ms)
    client = call.client
    contact_ms = call.contact_ms
    if contact_ms is None or client is None or desk.deaf:
        return
    call.silent_since_ms = None
    voice = client.voice
    if client.hold_ms is not None or client.talking_ms is not None or voice is None or not voice.audible:
        return
    for leg in call.contact:
        # Speech of another call's client is known to that call only. If somebody cannot be heard, nobody
        # knows of a silence.
        voice = leg.voice
        if leg.hold_ms is not None or leg.talking_ms is not None or voice is None or not voice.audible:
            return
    since = call.silent_since_ms = max(quiet_ms, contact_ms)
    # One heap entry for a call: while it is not due, later pauses leave it alone, and when it is due it finds
    # them.
    if call.silence is None:
        limit_ms = desk.limits(call.line).silence_ms
        call.silence = desk.deadlines.add(since + limit_ms, _SILENCE, since, call)


def silence_due(desk: Desk, call: Call, deadline: Deadline[Leg | Call]) -> None:
    """A pause may have reached its limit: the pause that the deadline was set for, or a later one."""
    call.silence = None
    since = call.silent_since_ms
    if since is None:
        return
    if since != deadline.since_ms:
        limit_ms = deadline.at_ms - deadline.since_ms
        call.silence = desk.deadlines.add(since + limit_ms, _SILENCE, since, call)
        return
    call.silent_since_ms = None
    desk.alert(call, deadline, call.operator)
    desk.say(
        call,
        _SAY_SILENCE,
        deadline.at_ms,
        operator=call.operator,
        duration_ms=deadline.at_ms - deadline.since_ms,
    )

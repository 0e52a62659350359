"""The conversation of a call: who hears the client, holds, speech, pauses, and their limits.

All on Asterisk's clock (ms since 1970). The client's ear decides: an operator who talks to a colleague
while the client waits is not in this conversation.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from callsteward.calls.deadlines import Deadline, Deadlines, Limit
from callsteward.calls.directory import Directory, Kind
from callsteward.calls.facts import Alert, CallHappened, Fact, Happening
from callsteward.calls.model import Bridge, Call, Leg
from callsteward.calls.record import Direction, Side, TransferResult

if TYPE_CHECKING:
    from callsteward.calls.number import Numbers
    from callsteward.config import Config
    from callsteward.standard.profile import Profile


class Desk:
    """What every part of the tracker needs at hand: the standard, the clockwork, the facts so far."""

    def __init__(self, config: Config, directory: Directory, numbers: Numbers) -> None:
        self.config = config
        self.directory = directory
        self.numbers = numbers
        self.deadlines: Deadlines[Leg | Call] = Deadlines()
        self.facts: list[Fact] = []
        self.armed = config.asterisk.talk_detect == "on"
        self.deaf = config.asterisk.talk_detect == "off"
        self.silence_ms = config.asterisk.silence_ms
        self._profiles: dict[str, Profile] = {}

    def profile(self, line: str) -> Profile:
        found = self._profiles.get(line)
        if found is None:
            found = self._profiles[line] = self.config.profile(line)
        return found

    def hold_limit_s(self, line: str, operator: str | None) -> float:
        profile = self.profile(line)
        grade = self.directory.grade(operator)
        return profile.hold_limit_by_grade_s.get(grade, profile.hold_limit_s)

    def say(
        self,
        call: Call,
        event: Happening,
        at_ms: int,
        *,
        operator: str | None = None,
        by: str | None = None,
        to: str | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """A fact about a call; of a call without a client nobody wants to hear."""
        if call.client is None and not call.client_gone:
            return
        self.facts.append(
            CallHappened(
                call_id=call.id,
                line=call.line,
                event=event,
                at_ms=at_ms,
                operator=operator,
                client_masked=self.numbers.masked(call.client_number) if event is Happening.STARTED else None,
                by=by,
                to=to,
                duration_s=None if duration_ms is None else duration_ms / 1000,
                client_number=call.client_number
                if event is Happening.STARTED and call.direction is Direction.INBOUND
                else "",
            )
        )

    def drop(self, deadline: Deadline[Leg | Call] | None) -> None:
        if deadline is not None:
            self.deadlines.cancel(deadline)

    def alert(self, call: Call, deadline: Deadline[Leg | Call], operator: str | None) -> None:
        """The limit of a deadline was crossed, at the deadline's own moment. No limit is the colleagues'."""
        if call.direction is Direction.INTERNAL:
            return
        self.facts.append(
            Alert(
                call_id=call.id,
                line=call.line,
                rule=deadline.limit.value,
                at_ms=deadline.at_ms,
                operator=operator,
                limit_s=(deadline.at_ms - deadline.since_ms) / 1000,
                since_ms=deadline.since_ms,
            )
        )


def hearers(client: Leg) -> list[Leg]:
    """The people a leg is connected to, through bridges and Local channels, in order of entry."""
    bridge = client.bridge
    if bridge is None or bridge.holding:
        return []
    members = bridge.legs
    if len(members) == 2:  # the usual talk, without a walk
        other = members[1] if members[0] is client else members[0]
        if other.endpoint.kind is not Kind.RELAY:
            return [] if other.endpoint.kind is Kind.MACHINE else [other]
    return [leg for leg in _walk(bridge) if leg is not client]


def beyond(relay: Leg) -> list[Leg]:
    """The people at the far end of a Local channel."""
    far = relay.half.bridge if relay.half is not None else None
    return [] if far is None or far.holding else _walk(far)


def _walk(start: Bridge) -> list[Leg]:
    """Everybody in a bridge and in those that Local channels join to it, in order of entry."""
    found: list[Leg] = []
    seen: set[int] = {id(start)}
    todo: list[Bridge] = [start]
    while todo:
        for leg in todo.pop().legs:
            kind = leg.endpoint.kind
            if kind is Kind.RELAY:
                far = leg.half.bridge if leg.half is not None else None
                if far is not None and not far.holding and id(far) not in seen:
                    seen.add(id(far))
                    todo.append(far)
            elif kind is not Kind.MACHINE:
                found.append(leg)
    return found


def regroup(desk: Desk, call: Call, ms: int) -> None:
    """Brings the call's conversation in step with who the client hears now."""
    client = call.client
    now = hearers(client) if client is not None else []
    before = call.contact
    if len(now) == len(before) and all(leg in before for leg in now):
        return
    call.contact = now
    for leg in before:
        if leg not in now:
            _leave(desk, call, leg, ms, talk_goes_on=bool(now))
    if now and not before:
        _begin(desk, call, ms)
    for leg in now:
        if leg not in before:
            leg.contacts = (*leg.contacts, call)
            if not leg.outsider:
                call.operator = leg.operator
            _receive(call, leg)
    staff = [leg.operator for leg in now if not leg.outsider]
    if staff and call.operator not in staff:
        call.operator = staff[-1]
    if before and not now:
        _end(desk, call, before, ms)
    else:
        _quiet_from(desk, call, ms)


def _begin(desk: Desk, call: Call, ms: int) -> None:
    call.contact_ms = ms
    if call.waits_for is not None:
        close_hold(desk, call.waits_for, ms, only=call)
    # What was asked before belongs to an earlier talk of the same call (a transfer, a second queue).
    call.requests.clear()
    call.ends.clear()
    call.last_contact = []
    if call.answered_ms is None and all(leg.joined_ms is None for leg in call.contact):
        # Nobody's phone was dialled for it: a pickup, a parked client fetched.
        call.answered_ms = ms
    if call.talk_limit is None and call.line:
        # The consultation is the talks together: the wait for a colleague between two is none of it.
        since = ms - sum(end - start for start, end in call.talks)
        limit_ms = int(desk.profile(call.line).talk_limit_s * 1000)
        call.talk_limit = desk.deadlines.add(since + limit_ms, Limit.TALK, since, call)


def _receive(call: Call, leg: Leg) -> None:
    """A transfer is completed by the first one who then has the client; failed if it is its giver."""
    for transfer in call.transfers:
        if transfer.result is None:
            came_back = leg.operator == transfer.by
            transfer.result = TransferResult.FAILED if came_back else TransferResult.COMPLETED


def _leave(desk: Desk, call: Call, leg: Leg, ms: int, *, talk_goes_on: bool) -> None:
    if talk_goes_on or call.client is None:
        close_hold(desk, leg, ms, only=call)
    elif leg.hold_ms is not None:
        # It went to ask a colleague: the client still waits, until somebody is back.
        call.waits_for = leg
    close_speech(leg, ms, only=call)
    leg.contacts = tuple(item for item in leg.contacts if item is not call)
    if talk_goes_on and call.requests:
        # It left a conversation that went on without it: that hang-up ended nothing.
        call.requests = [item for item in call.requests if item.channel != leg.name]


def _end(desk: Desk, call: Call, before: list[Leg], ms: int) -> None:
    if call.contact_ms is not None:
        call.talks.append((call.contact_ms, max(ms, call.contact_ms)))
    call.contact_ms = None
    call.last_contact = before
    client = call.client
    if client is not None:
        close_hold(desk, client, ms, only=call)
        close_speech(client, ms, only=call)
    call.silent_since_ms = None
    if call.talk_limit is not None and call.talk_limit.target is not None:
        desk.drop(call.talk_limit)
        call.talk_limit = None


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
        desk.say(call, Happening.HOLD, ms, operator=call.operator, by=side.value if side else None)
        if side is Side.OPERATOR and leg.hold_deadline is None:
            limit_ms = int(desk.hold_limit_s(call.line, leg.operator) * 1000)
            leg.hold_deadline = desk.deadlines.add(ms + limit_ms, Limit.HOLD, ms, leg)


def unhold(desk: Desk, leg: Leg, ms: int) -> None:
    """The phone came back. An unhold without a hold occurs (before a blind transfer) and means nothing."""
    if leg.hold_ms is not None:
        close_hold(desk, leg, ms)


def close_hold(desk: Desk, leg: Leg, ms: int, only: Call | None = None) -> None:
    """Ends an open hold: the phone came back, left the conversation, or the call ended."""
    start = leg.hold_ms
    if start is None:
        return
    calls = _conversations(leg)
    if only is not None and only not in calls:
        calls = (only,)
    if not calls and leg.call.waits_for is leg:
        calls = (leg.call,)
    for call in calls:
        call.waits_for = None
        side = Side.CLIENT if call.client is leg else Side.OPERATOR
        end = max(ms, start)
        call.holds.append((side, start, end, leg.operator))
        desk.say(
            call,
            Happening.UNHOLD,
            ms,
            operator=call.operator,
            by=side.value,
            duration_ms=end - start,
        )
    leg.hold_ms = None
    desk.drop(leg.hold_deadline)
    leg.hold_deadline = None
    for call in calls:
        _quiet_from(desk, call, ms)


# --- speech ------------------------------------------------------------------------------------------


def speech_started(leg: Leg, ms: int) -> None:
    """The talk detector heard the phone's side begin to speak."""
    if leg.talking_ms is None:
        leg.talking_ms = ms
    for call in _conversations(leg):
        call.heard = True
        call.silent_since_ms = None


def speech_finished(desk: Desk, leg: Leg, ms: int, duration_ms: int) -> None:
    """The detector heard speech end, `silence_ms` ago; `duration_ms` is the speech alone.

    A duration can be negative in odd cases (Asterisk issue 80); and after a hold it can come without
    a start, since no RTP flowed while the detector waited for the end.
    """
    start = leg.talking_ms
    end = ms - desk.silence_ms
    if start is None:
        start = end - max(0, duration_ms)
    elif duration_ms > 0:
        end = min(ms, start + duration_ms)
    leg.talking_ms = None
    for call in _conversations(leg):
        call.heard = True
        _spoken(call, leg, start, end)
        _quiet_from(desk, call, end)


def close_speech(leg: Leg, ms: int, only: Call | None = None) -> None:
    """Speech still open when the phone held or left: no end of it will be heard."""
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
    # Two numbers a span in an array: a long talk stays small.
    if call.client is leg:
        if call.client_speech is None:
            call.client_speech = array("q")
        call.client_speech.extend((start, end))
    else:
        if call.operator_speech is None:
            call.operator_speech = array("q")
        call.operator_speech.extend((start, end))


def _quiet_from(desk: Desk, call: Call, ms: int) -> None:
    """Somebody stopped speaking (or a hold ended) at ms: if now all are quiet, the limit runs."""
    call.quiet_ms = max(call.quiet_ms, ms)
    client = call.client
    if call.contact_ms is None or client is None or desk.deaf:
        return
    call.silent_since_ms = None
    if not (call.heard or desk.armed):
        return
    if client.hold_ms is not None or client.talking_ms is not None:
        return
    for leg in call.contact:
        # The speech of another call's client is known to that call alone.
        if leg.hold_ms is not None or leg.talking_ms is not None:
            return
    since = max(call.quiet_ms, call.contact_ms)
    call.silent_since_ms = since
    # One entry a call in the heap: while it is not due yet, it only finds a later pause when it is.
    if call.silence is None:
        limit_ms = int(desk.profile(call.line).silence_limit_s * 1000)
        call.silence = desk.deadlines.add(since + limit_ms, Limit.SILENCE, since, call)


def silence_due(desk: Desk, call: Call, deadline: Deadline[Leg | Call]) -> None:
    """A pause may have reached its limit: the one the deadline was set for, or a later one."""
    call.silence = None
    since = call.silent_since_ms
    if since is None:
        return
    if since != deadline.since_ms:
        limit_ms = deadline.at_ms - deadline.since_ms
        call.silence = desk.deadlines.add(since + limit_ms, Limit.SILENCE, since, call)
        return
    call.silent_since_ms = None
    desk.alert(call, deadline, call.operator)
    desk.say(
        call,
        Happening.SILENCE,
        deadline.at_ms,
        operator=call.operator,
        duration_ms=deadline.at_ms - deadline.since_ms,
    )

"""Which channels belong to one call, and which of them is the client's.

A dial, a bridge or a Local channel joins calls. Two calls that each have a client from outside stay two: a
conference of two clients is two calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from callsteward.calls import left_out, talk
from callsteward.calls.model import Call, Leg
from callsteward.record import rating_id
from callsteward.record.call import Direction
from callsteward.record.callback_id import callback_of, line_of
from callsteward.record.facts import Happening

if TYPE_CHECKING:
    from callsteward.ari.events import Channel, DialplanPosition
    from callsteward.calls.desk import Desk

_INBOUND: Final = Direction.INBOUND
_OUTBOUND: Final = Direction.OUTBOUND
_INTERNAL: Final = Direction.INTERNAL
_STARTED: Final = Happening.STARTED


def has_outsider(call: Call) -> bool:
    """True if the call has a client from outside."""
    return call.direction is not _INTERNAL and (call.client is not None or call.client_gone)


def is_ours(call_id: str) -> bool:
    """True if the daemon made the call (a callback, a rating call): its first channel's id says so.

    Asterisk gives the far half of a Local channel the id of the near one with `;2` appended; that half does
    not count.
    """
    return (
        call_id.startswith("callsteward-")
        and not call_id.endswith(";2")
        and (callback_of(call_id) is not None or rating_id.rating_of(call_id) is not None)
    )


def _settled(call: Call) -> bool:
    """True if a call has a client from outside whose channel is more than just made for a dial."""
    return has_outsider(call) and (
        call.client is None or not call.client.dialled or call.client.up or len(call.legs) > 1
    )


def _rank(call: Call, settled: bool) -> int:
    """How well a call describes what two merged calls are together; 0 is best.

    In this order: a client who called in; a call made by the daemon, even if its client was met first;
    another client's call; a call without a client.
    """
    if settled and call.direction is not _OUTBOUND:
        return 0
    if not call.spent and is_ours(call.id):
        return 1
    return 2 if settled else 3


def merge(desk: Desk, left: Call, right: Call) -> Call | None:
    """Merge two calls and return the result; None if they stay the calls of two clients."""
    if left is right:
        return left
    winner, loser = left, right
    left_settled, right_settled = _settled(left), _settled(right)
    if left_settled and right_settled:
        return None
    # In this order: the stronger call, an id not used before, the older call. Above 0 if the right one goes
    # first.
    ahead = _rank(left, left_settled) - _rank(right, right_settled)
    if ahead == 0:
        ahead = left.spent - right.spent
    if ahead > 0 or (ahead == 0 and right.created_ms < left.created_ms):
        winner, loser = right, left
    if winner.client_up_ms is None and loser.client_up_ms is not None:
        # Said by the client before anybody knew whose call it was.
        winner.client_up_ms = loser.client_up_ms
        if rating_id.rating_of(winner.id) is not None:
            winner.answered_ms = loser.client_up_ms
    for leg in loser.legs:
        leg.call = winner
    winner.legs.extend(loser.legs)
    if loser.attempts:
        winner.attempts.extend(loser.attempts)
        winner.attempts.sort(key=lambda attempt: attempt.dial_ms)
        left_out.merge(winner, loser)
    winner.begun_unseen = winner.begun_unseen or loser.begun_unseen
    for span in loser.unobserved:
        # An agent's phone that was on long before the client called.
        if span[1] is None or span[1] >= winner.created_ms:
            winner.unobserved = (*winner.unobserved, span)
    winner.interruption = winner.interruption or loser.interruption
    winner.tags += loser.tags
    desk.disarm(loser)
    for leg in loser.contact:
        leg.contacts = tuple(item for item in leg.contacts if item is not loser)
    loser.legs = []
    cast(desk, winner, winner.created_ms)
    return winner


def cast(desk: Desk, call: Call, ms: int, channel: Channel | None = None) -> None:
    """Find the call's client: whoever called in, else the person called, else the colleague who called.

    `channel` is the new channel as Asterisk shows it.
    """
    current = call.client
    if current is not None and current.endpoint.is_trunk and not current.dialled:
        return
    best: Leg | None = None
    best_rank = 4
    for leg in call.legs:
        endpoint = leg.endpoint
        if endpoint.is_trunk:
            if leg.dialled and not leg.outsider:
                continue  # an operator's phone outside
            rank = 1 if leg.dialled else 0
        elif endpoint.is_operator and not leg.dialled:
            rank = 2
        else:
            continue
        if rank < best_rank:
            best, best_rank = leg, rank
    if best is None or best is current:
        return
    if call.client_gone and (call.direction is _INBOUND or best_rank == 2):
        return
    _make_client(desk, call, best, ms, channel if channel is not None and channel.id == best.id else None)


def _make_client(desk: Desk, call: Call, leg: Leg, ms: int, channel: Channel | None) -> None:
    first = call.client is None and not call.client_gone
    previous = call.direction
    call.client = leg
    if not leg.endpoint.is_trunk:
        call.direction = _INTERNAL
    else:
        call.direction = _OUTBOUND if leg.dialled else _INBOUND
    if first or previous is _INTERNAL:
        call.started_ms = leg.created_ms
    call.client_gone = False
    call.ended_ms = None
    desk.drop(call.linger)
    call.linger = None
    if leg.attempt is not None and leg.attempt in call.attempts:
        call.attempts.remove(leg.attempt)
        leg.attempt = None
    if call.direction is _OUTBOUND:
        caller = next((item for item in call.legs if item.endpoint.is_operator), None)
        if caller is not None and call.operator is None:
            call.operator = caller.operator
    named_line = line_of(call.id) or rating_id.line_of(call.id)
    if named_line is not None:
        call.line, call.line_from_queue = named_line, True  # not a queue, but just as final
    if not call.line:
        call.line = desk.default_line
    if channel is not None:
        find_line(desk, call, channel)
    if first and not leg.dialled and call.direction is _INBOUND:
        desk.say(call, _STARTED, leg.created_ms)
    talk.regroup(desk, call, ms)


def client_left(desk: Desk, call: Call, leg: Leg, ms: int | None) -> None:
    """The client's channel is gone. Another one may be theirs: a second trunk tried, a masquerade.

    The client left when they hung up: the channel may have gone on in the h extension.
    """
    call.client = None
    call.client_gone = True
    call.ended_ms = ms
    if ms is not None and leg.hung_up_ms is not None and leg.hung_up_ms < ms:
        call.ended_ms = leg.hung_up_ms
        talk.cut_off(call, leg.hung_up_ms)
    if call.direction is _OUTBOUND and call.answered_ms is None:
        cast(desk, call, call.created_ms)


def find_line(desk: Desk, call: Call, channel: Channel) -> None:
    """Find a call's line by its client's channel: the first queue it enters, else number, else context."""
    if not call.client_number and not (call.client is not None and call.client.dialled):
        raw = channel.caller.number
        client = call.client
        if client is not None and raw:
            endpoint = client.endpoint
            if endpoint.is_trunk:
                desk.deliveries.note(endpoint.shown, desk.numbers.kind(raw, endpoint.numbers))
            raw = desk.numbers.delivered(raw, endpoint.numbers)
        call.client_number = raw
    if not call.line_from_queue:
        _place(desk, call, channel.dialplan)


def find_line_behind(desk: Desk, call: Call, channel: Channel) -> None:
    """Find the line of a client who was put through a Local channel, by the place of its other half.

    If the client's own channel has determined a line, only a queue behind the Local channel changes it.
    """
    if call.direction is _INBOUND and not call.line_from_queue:
        _place(desk, call, channel.dialplan)


def _place(desk: Desk, call: Call, position: DialplanPosition) -> None:
    if position.app_name == "Queue":
        queue = position.app_data
        if queue != call.queue:
            call.queue = queue
            line = desk.directory.line_of_queue(queue.partition(",")[0])
            if line is not None:
                call.line = line
                call.line_from_queue = True
                return
    # The line is looked up again whenever the place changes, until a queue has determined it.
    exten, context = position.exten, position.context
    if call.placed and exten == call.exten and context == call.context:
        return
    call.placed, call.exten, call.context = True, exten, context
    if not call.line or call.line == desk.default_line:
        call.line = desk.directory.line_of_number(exten, context) or desk.default_line


def join_linked(desk: Desk, leg: Leg, channel: Channel, legs: dict[str, Leg]) -> None:
    """A channel belongs to the call whose first channel Asterisk names in its linkedid.

    For a channel met midway, and for one that a program rings: there no dial says for whom it rings.
    """
    if leg.endpoint.is_machine:
        return
    told = channel.channelvars
    linkedid = told.linkedid if told is not None else None
    if not linkedid or linkedid == leg.id:
        return
    first = legs.get(linkedid)
    if first is not None and first.call is not leg.call:
        merge(desk, first.call, leg.call)


def forward(giver: Leg, receiver: Leg) -> None:
    """A phone forwarded its call: an outside line that is reached for it counts as its operator's."""
    if giver.endpoint.is_relay and giver.operator == giver.endpoint.name:
        return  # a Local channel to which nobody forwarded
    if receiver.endpoint.is_relay or receiver.endpoint.is_trunk:
        receiver.operator = giver.operator
        receiver.outsider = False


def target_of(target: Leg | None, theirs: Leg, ours: Leg) -> str | None:
    """The target of an attended transfer: the one Asterisk names, else the one being rung (blonde)."""
    if target is not None and target.outsider:
        return target.call.client_number or None
    if target is not None and not target.endpoint.is_relay:
        return target.operator
    for person in talk.beyond(target) if target is not None else ():
        if person is not ours and person is not theirs and person.endpoint.is_operator:
            return person.operator
    for leg in reversed(theirs.call.legs):
        if leg.attempt is not None and leg.attempt.result is None and leg is not ours:
            return leg.operator
    return None


def leave_behind(legs: Iterable[Leg]) -> None:
    """Legs that outlive their call become calls of their own, with ids that were used before.

    In a conference such a leg may be in another client's conversation, which goes on.
    """
    for leg in list(legs):
        ended = leg.call
        leg.call = Call(leg)
        leg.call.spent = True
        leg.contacts = tuple(call for call in leg.contacts if call is not ended)
        leg.attempt = None

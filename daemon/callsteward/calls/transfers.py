"""Transfers: who gave the client to whom, and what is known of the result at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsteward.calls import linking, rating_entry
from callsteward.calls.model import TransferMade
from callsteward.record.call import TransferKind, TransferResult
from callsteward.record.facts import Happening

if TYPE_CHECKING:
    from callsteward.ari.events import BridgeAttendedTransfer, BridgeBlindTransfer
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Call, Leg
    from callsteward.calls.roster import Roster


def blind(desk: Desk, roster: Roster, event: BridgeBlindTransfer, ms: int) -> None:
    """A blind transfer: the client was sent to an extension."""
    leg = roster.leg(event.channel, ms)
    if leg is not None:
        _note(desk, leg, leg, TransferKind.BLIND, event.exten or None, event.result, ms)


def attended(desk: Desk, roster: Roster, event: BridgeAttendedTransfer, ms: int) -> None:
    """An attended transfer: the client was given to somebody whom the operator had asked first."""
    first = roster.leg(event.transferer_first_leg, ms)
    second = roster.leg(event.transferer_second_leg, ms)
    if first is None or second is None:
        return
    # Either of the transferer's two legs can be the one in the client's call.
    ours, theirs = (first, second) if linking.has_outsider(first.call) else (second, first)
    listed = event.transfer_target
    target = linking.target_of(roster.legs.get(listed.id) if listed is not None else None, theirs, ours)
    _note(desk, ours, theirs, TransferKind.ATTENDED, target, event.result, ms)
    if event.result == "Success" and ours.call is not theirs.call:
        linking.merge(desk, ours.call, theirs.call)


def given_away(call: Call, leg: Leg) -> bool:
    """True if an operator has just transferred the client to somebody who is not there yet.

    The end of that operator's channel ends no talk, in whatever order Asterisk reports it: chan_sip may
    report the phone's BYE before it takes the channel out of the bridge.
    """
    last = call.transfers[-1] if call.transfers else None
    return last is not None and last.result is None and last.by == leg.operator


def _note(desk: Desk, leg: Leg, other: Leg, kind: TransferKind, to: str | None, result: str, ms: int) -> None:
    call = leg.call
    # Asterisk reports an attended transfer after it has moved the client, and does not always name the
    # target.
    receivers = [item for item in call.contact if item.operator != leg.operator]
    if to is None and kind is TransferKind.ATTENDED and receivers and not receivers[-1].outsider:
        to = receivers[-1].operator
    to = desk.numbers.extension(to) if to is not None else None
    transfer = TransferMade(kind, leg.operator, to, ms)
    if result != "Success":
        transfer.result = TransferResult.FAILED
    elif kind is TransferKind.ATTENDED and receivers:
        transfer.result = TransferResult.COMPLETED
    elif call.handed_over_ms is not None and not call.contact:
        # Reported after its client had arrived there.
        rating_entry.came_by(transfer)
    call.transfers = (*call.transfers, transfer)
    names = {leg.name, other.name}
    call.requests = tuple([item for item in call.requests if item.channel not in names])
    desk.say(call, Happening.TRANSFER, ms, operator=leg.operator, by=leg.operator, to=to)

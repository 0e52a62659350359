"""Dials: who rings whom, and so which channels are one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.calls import attempts, linking, mobile, origin, provenance
from callsteward.record.facts import Happening

if TYPE_CHECKING:
    from callsteward.ari.events import Dial
    from callsteward.calls.desk import Desk
    from callsteward.calls.roster import Roster

_STARTED: Final = Happening.STARTED


def told(desk: Desk, roster: Roster, event: Dial, ms: int) -> None:
    """Take in a Dial event: the dial begins, ends with a status, or is forwarded."""
    calling, called, status = event.caller, event.peer, event.dialstatus
    caller = roster.leg(calling, ms) if calling is not None else None
    # The line was looked up when the channel became a client's. A channel that becomes one only by this dial
    # has none yet.
    known = caller.call if caller is not None and caller.call.client is caller else None
    peer = roster.leg(called, ms)
    if peer is None:
        return
    if desk.directory.has_mobiles:
        mobile.recognise(desk, peer, event.dialstring, called.caller.number)
    if not (peer.dialled and peer.origin_told):
        origin.dialled(peer)
    if caller is None:
        # A program rings it: it belongs to the call of the channel on whose behalf the program rings.
        linking.join_linked(desk, peer, called, roster.legs)
    elif calling is not None:
        if not status:
            provenance.dialled(caller, peer, calling.dialplan.app_name)
        elif status == "ANSWER":
            provenance.taken(caller, calling.dialplan.app_name)
    went_to = event.forwarded
    if went_to is not None:
        forwarded = roster.leg(went_to, ms)
        if forwarded is not None:
            linking.forward(peer, forwarded)
    if caller is not None:
        if caller.half is not None:
            linking.forward(caller.half, peer)
        if caller.call is not peer.call:
            linking.merge(desk, caller.call, peer.call)
    linking.cast(desk, peer.call, ms)
    if calling is not None and caller is not None and caller.call.client is caller:
        call = caller.call
        if call is not known or not call.client_number:
            linking.find_line(desk, call, calling)
    if peer.call.client is peer:
        first = peer.call.client_dial is None
        attempts.client_dial(desk, peer, event)
        if not status and first:
            desk.say(peer.call, _STARTED, ms, operator=peer.call.operator)
    elif peer.endpoint.is_relay:
        attempts.verdict_on_relay(desk, peer, status, ms)
    else:
        attempts.dial(desk, peer, status, ms)

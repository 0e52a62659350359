"""Hang-up requests: which of a channel's calls a request is about, and which side made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.calls import attempts, origin, provenance, transfers
from callsteward.calls.hangup import SIMULTANEOUS_MS, HangupRequest, requester, simultaneous
from callsteward.record.call import Direction, Side
from callsteward.record.facts import Happening

if TYPE_CHECKING:
    from callsteward.ari.events import ChannelHangupRequest
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Call, Leg

_CLIENT: Final = Side.CLIENT
_OPERATOR: Final = Side.OPERATOR
_OUTBOUND: Final = Direction.OUTBOUND
# AST_SOFTHANGUP_APPUNLOAD: every channel gets this when its dialplan has ended (main/pbx.c).
_RUN_OUT: Final = 16
_HANGUP: Final = Happening.HANGUP
# Dialplan applications that refuse a call which is not up (main/pbx_builtins.c).
_REFUSES: Final = frozenset({"Busy", "Congestion"})
# The SIP status of a call whose caller gave up.
_CANCELLED: Final = 487


def made(desk: Desk, leg: Leg, event: ChannelHangupRequest, ms: int) -> None:
    """A channel's hang-up is requested."""
    if event.soft:
        leg.run_out = leg.run_out or event.cause == _RUN_OUT
    elif _is_echo(leg, event):
        return
    provenance.asked(leg, event, ms)
    _note(desk, leg.call, leg, event, ms)
    for call in leg.contacts:
        if call is not leg.call:
            _note(desk, call, leg, event, ms)


def _note(desk: Desk, call: Call, leg: Leg, event: ChannelHangupRequest, ms: int) -> None:
    """Note the request in one call; it means nothing to a call whose conversation the leg was not in."""
    side = call.side(leg)
    if side is None and call.answered_ms is None and call is leg.call and _dials_out(call, leg):
        side = _OPERATOR  # the operator who dials out gives up
    if side is None and leg in call.last_contact and simultaneous(call.requests, ms):
        side = _OPERATOR  # both hung up at once; the bridge went between the two requests
    if side is None or (call.handed_over_ms is not None and side is _CLIENT):
        return
    if side is _OPERATOR and transfers.given_away(call, leg):
        return
    passed_back = not leg.up and side is _CLIENT and _is_answer(call, leg, event, ms)
    third_party = leg.outsider and side is _OPERATOR
    if side is _CLIENT and leg.dialled and not leg.up and not event.soft:
        return  # the line did not take the call: whoever dialled it tries another line or gives up
    request = HangupRequest(
        ms,
        side,
        leg.name,
        event.cause,
        event.tech_cause,
        event.soft,
        passed_back,
        third_party,
        up=leg.up,
        inherited=leg.inherited,
    )
    call.requests += (request,)
    party = requester(request)
    if party is not None:
        desk.say(call, _HANGUP, ms, operator=call.operator, by=party)


def _is_answer(call: Call, leg: Leg, event: ChannelHangupRequest, ms: int) -> bool:
    """True if a request on a caller who is not up comes from Asterisk refusing the call, not from the caller.

    Busy() and Congestion() answer with a SIP 486 or 503, and then the driver requests the hang-up. A client
    who waits on in the dialplan after a failed dial gives up later, with a CANCEL (487).
    """
    if leg.dialled or event.soft or event.tech_cause == _CANCELLED:
        return False
    if event.channel.dialplan.app_name in _REFUSES:
        return True
    ended_ms = max((item.end_ms for item in call.attempts if item.end_ms is not None), default=None)
    return ended_ms is not None and ms - ended_ms <= SIMULTANEOUS_MS and attempts.passed_back(call, leg)


def _is_echo(leg: Leg, event: ChannelHangupRequest) -> bool:
    """True if a request is only the driver's reaction to Asterisk hanging the channel up.

    chan_iax2 queues a hang-up on each channel that Asterisk ends (iax2_predestroy in channels/chan_iax2.c):
    for a caller after the end of the dialplan, for a dialled channel after it left the bridge.
    """
    if leg.run_out:
        return True
    return (
        leg.dialled
        and leg.bridge is None
        and bool(leg.left_bridge)
        and event.channel.dialplan.app_data == origin.DIALLED_AT
        and leg.name.startswith("IAX2/")
    )


def _dials_out(call: Call, leg: Leg) -> bool:
    """True if a leg is the phone of whoever dials out: it called, or was rung first (click-to-dial)."""
    return not leg.dialled or (leg.up and call.direction is _OUTBOUND and not leg.outsider)

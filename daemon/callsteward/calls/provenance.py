"""The origin of a hang-up cause: whose leg ended with it, and to which channels Asterisk copied it.

Dial() copies the cause of the phone or trunk it dialled to the caller's channel: after a refusal, after a
talk, through Local channels. On the caller's channel such a cause says nothing about the caller's connection.
Queue() copies none, and where Dial() is answered it sets the caller's cause to 16: a cause that comes later
is the caller's own again (Asterisk: apps/app_dial.c, app_queue.c, app_followme.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callsteward.ari.events import ChannelHangupRequest
    from callsteward.calls.model import Call, Leg

# AST_SOFTHANGUP_DEV and AST_SOFTHANGUP_EXPLICIT: the channel's far end is gone, whoever reports it.
_GONE_FLAGS: Final = 1 | 32
# Causes that prove nothing, wherever they come from: unknown and normal clearing.
_PLAIN: Final = frozenset({0, 16})
_QUEUE: Final = "Queue"
# Applications that set the caller's cause to 16 (normal clearing) when they are answered.
_CLEARING: Final = frozenset({"Dial", "FollowMe"})
# The most dials in a row: a client who dials a queue whose member is a Local channel to a ring group is four
# dials away from a phone.
DEEPEST: Final = 16


def asked(leg: Leg, event: ChannelHangupRequest, ms: int) -> None:
    """A leg's hang-up was requested: its side is gone, or its phone refused the dial."""
    cause = event.cause
    if event.soft:
        if cause is not None and cause & _GONE_FLAGS and leg.hung_up_ms is None:
            leg.hung_up_ms = ms
        return
    if cause is not None:
        if leg.dialled and not leg.up:
            leg.refused = cause
        hand_on(leg, cause)
    if leg.hung_up_ms is None:
        leg.hung_up_ms = ms


def dialled(caller: Leg, peer: Leg, app: str) -> None:
    """A channel dials another one with an application of the dialplan."""
    peer.dialled_by = caller
    peer.hands_on = app != _QUEUE


def taken(caller: Leg, app: str) -> None:
    """A dial was answered."""
    if app in _CLEARING and caller.inherited:
        caller.inherited = None


def ended(call: Call, leg: Leg, cause: int) -> None:
    """A leg is gone: from now on its cause may be on the channels that dialled it or talked with it.

    Channels that ended before it have a cause that came from elsewhere.
    """
    leg.gone = True
    # A Local channel in a talk has the cause of whichever end left.
    if cause in _PLAIN or (leg.endpoint.is_relay and leg.up):
        return
    hand_on(leg, cause)
    partners: Sequence[Leg] = ()
    if leg is call.client:
        partners = call.last_contact
    elif call.client is not None and leg in call.last_contact:
        partners = (call.client,)
    for partner in partners:
        if not partner.gone and partner.hung_up_ms is None:
            _inherit(partner, cause)


def hand_on(leg: Leg, cause: int) -> None:
    """A leg ends with a cause: the channels that dialled it may carry that cause from now on.

    Not a caller who hung up first: there the cause is the caller's own.
    """
    if cause in _PLAIN:
        return
    taker = leg
    for _ in range(DEEPEST):
        giver = taker.dialled_by
        if giver is None or giver.gone or giver.hung_up_ms is not None:
            return
        # Between two connected channels the bridge copies the cause, whichever application dialled.
        if not taker.hands_on and not taker.up:
            return
        _inherit(giver, cause)
        if not giver.endpoint.is_relay or giver.half is None:
            return
        taker = giver.half


def _inherit(leg: Leg, cause: int) -> None:
    if leg.inherited is None:
        leg.inherited = [cause]
    elif cause not in leg.inherited:
        leg.inherited.append(cause)

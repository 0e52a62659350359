"""How a channel came about: somebody calls in on it, or Asterisk dialled it.

The state in which a channel is created says so for some drivers only. chan_pjsip and chan_iax2 create an
incoming channel in state `Ring`; chan_sip creates every channel in `Down` and sends `Ring` a millisecond
later; DAHDI creates channels in `Rsrvd` both ways. For every driver these say so: a Dial event that names the
channel as the dialled one, `Ringing` (Asterisk rings somebody) as opposed to `Ring` (somebody rings
Asterisk), and the place in the dialplan where Asterisk puts channels that it dials or originates. Until one
of them comes, a channel created in `Down` or `Rsrvd` counts as dialled, which makes nobody a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.calls import linking
from callsteward.record.call import Direction

if TYPE_CHECKING:
    from callsteward.ari.events import Channel
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Leg

# Channel states (Asterisk: main/channel.c, ast_state2str) of an incoming channel …
_CALLS_IN: Final = frozenset({"Ring", "Pre-ring", "OffHook"})
# … and of an outgoing one.
_GOES_OUT: Final = frozenset({"Ringing", "Dialing", "Dialing Offhook"})
# The place of channels that Dial(), Queue(), Originate and ARI create (app_dial.c, app_queue.c, dial.c).
DIALLED_AT: Final = "(Outgoing Line)"
_UNDECIDED: Final = frozenset({"Down", "Rsrvd"})
_INTERNAL: Final = Direction.INTERNAL


def made(leg: Leg, channel: Channel) -> None:
    """A channel was created, or met midway: take in its state and its place in the dialplan."""
    if not _learn(leg, channel):
        leg.dialled = channel.state in _UNDECIDED
        leg.origin_told = not leg.dialled


def look(desk: Desk, leg: Leg, channel: Channel, ms: int) -> None:
    """Take in an event of a channel that is not up and whose origin is not known yet."""
    if _learn(leg, channel) and not leg.dialled:
        linking.cast(desk, leg.call, ms, channel)


def dialled(leg: Leg) -> None:
    """A Dial event names the channel as the dialled one: nothing is more certain."""
    call = leg.call
    if not leg.dialled and not leg.up and call.client is leg and leg.endpoint.is_trunk:
        # Met midway, before its Dial event: it looked like a client who calls in.
        call.client = None
        call.direction = _INTERNAL
    leg.dialled = True
    leg.origin_told = True


def _learn(leg: Leg, channel: Channel) -> bool:
    """True if the channel's state or its place in the dialplan says how it came about."""
    state = channel.state
    if channel.dialplan.app_data == DIALLED_AT or state in _GOES_OUT:
        leg.dialled = True
    elif state in _CALLS_IN:
        leg.dialled = False
    else:
        return False
    leg.origin_told = True
    return True

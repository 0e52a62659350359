"""How a channel came about: somebody calls in on it, or Asterisk dialled it.

The state a channel is made in tells that of some drivers only. chan_pjsip and chan_iax2 make an incoming
channel `Ring`; chan_sip makes every channel `Down` and says `Ring` a millisecond later; DAHDI makes channels
`Rsrvd` both ways. What does tell, whichever the driver: a Dial event that names the channel as the one
dialled, `Ringing` (Asterisk rings somebody) against `Ring` (somebody rings Asterisk), and the place in the
dialplan where Asterisk puts what it dials or originates. Until one of them comes, a channel made `Down` or
`Rsrvd` is taken for a dialled one, which makes nobody a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callsteward.calls import linking
from callsteward.record.call import Direction

if TYPE_CHECKING:
    from callsteward.ari.events import Channel
    from callsteward.calls.desk import Desk
    from callsteward.calls.model import Leg

# Channel states (Asterisk: main/channel.c, ast_state2str). Those of a channel on its way in …
_CALLS_IN: Final = frozenset({"Ring", "Pre-ring", "OffHook"})
# … and of one on its way out.
_GOES_OUT: Final = frozenset({"Ringing", "Dialing", "Dialing Offhook"})
# Where Dial(), Queue(), Originate and ARI put a channel that they make (app_dial.c, app_queue.c, dial.c).
DIALLED_AT: Final = "(Outgoing Line)"
_UNDECIDED: Final = frozenset({"Down", "Rsrvd"})
_INTERNAL: Final = Direction.INTERNAL


def made(leg: Leg, channel: Channel) -> None:
    """A channel as it is made, or met midway: what its state and its place in the dialplan tell."""
    if not _learn(leg, channel):
        leg.dialled = channel.state in _UNDECIDED
        leg.origin_told = not leg.dialled


def look(desk: Desk, leg: Leg, channel: Channel, ms: int) -> None:
    """An event of a channel that is neither up nor known to be dialled or to call in."""
    if _learn(leg, channel) and not leg.dialled:
        linking.cast(desk, leg.call, ms, channel)


def dialled(leg: Leg) -> None:
    """A Dial event names the channel as the one that is dialled: nothing tells it better."""
    call = leg.call
    if not leg.dialled and not leg.up and call.client is leg and leg.endpoint.is_trunk:
        # Met midway, before its Dial: it looked like a client who calls in.
        call.client = None
        call.direction = _INTERNAL
    leg.dialled = True
    leg.origin_told = True


def _learn(leg: Leg, channel: Channel) -> bool:
    """Whether the channel's state or its place in the dialplan tells how it came about."""
    state = channel.state
    if channel.dialplan.app_data == DIALLED_AT or state in _GOES_OUT:
        leg.dialled = True
    elif state in _CALLS_IN:
        leg.dialled = False
    else:
        return False
    leg.origin_told = True
    return True

"""What goes first where more arrives than the daemon gets through: a policy, no IO.

The reader never stops reading, since Asterisk would suffer from it; and memory has an end. So what waits is
measured against a limit, and with it rising the cheapest goes first:

| from | what is left out | what it costs |
|---|---|---|
| half | types callsteward does not use (a flood of variables) | nothing |
| half | DeviceStateChanged | a callback may ask a phone that cannot be reached |
| three quarters | ChannelTalkingStarted and Finished | speech: these calls say that they are incomplete |
| the limit | everything, until what waits is worked off; then a Snapshot | every open call is incomplete |
"""

from __future__ import annotations

from enum import StrEnum

from callsteward.ari.events import KNOWN_TYPES

USELESS_FROM = 0.5
SPEECH_FROM = 0.75


class Shed(StrEnum):
    """What was left out, as the counters name it."""

    UNUSED = "unused"
    DEVICE_STATE = "device_state"
    SPEECH = "speech"
    ALL = "all"


_CHEAP: dict[str, tuple[float, Shed]] = {
    "DeviceStateChanged": (USELESS_FROM, Shed.DEVICE_STATE),
    "ChannelTalkingStarted": (SPEECH_FROM, Shed.SPEECH),
    "ChannelTalkingFinished": (SPEECH_FROM, Shed.SPEECH),
}
_UNUSED = (USELESS_FROM, Shed.UNUSED)
_DEAR = (2.0, Shed.ALL)


def shed(kind: str, fill: float) -> Shed | None:
    """Whether an arriving event goes, and as what; `fill` is what waits, as a share of the limit.

    A frame without a type is kept: somebody must see that it is malformed.
    """
    if kind in KNOWN_TYPES or not kind:
        at, what = _CHEAP.get(kind, _DEAR)
    else:
        at, what = _UNUSED
    return what if fill >= at else None

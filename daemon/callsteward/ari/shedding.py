"""The order in which frames are left out when more arrive than the daemon can handle: a policy, no IO.

The reader never stops reading, since Asterisk would suffer from that; and memory is limited. So the waiting
frames are measured against a limit, and as they grow the cheapest kinds are left out first:

| from | left out | cost |
|---|---|---|
| half | types callsteward does not use (a flood of variables) | none |
| half | DeviceStateChanged | a callback may ring a phone that cannot be reached |
| three quarters | ChannelTalkingStarted and Finished | speech: these calls say that they are incomplete |
| the limit | everything, until frames are worked off; then a Snapshot | every open call is incomplete |
"""

from __future__ import annotations

from enum import StrEnum

from callsteward.ari.events import KNOWN_TYPES

USELESS_FROM = 0.5
SPEECH_FROM = 0.75


class ShedKind(StrEnum):
    """The kind of a left-out frame, as the counters name it."""

    UNUSED = "unused"
    DEVICE_STATE = "device_state"
    SPEECH = "speech"
    ALL = "all"


_CHEAP: dict[str, tuple[float, ShedKind]] = {
    "DeviceStateChanged": (USELESS_FROM, ShedKind.DEVICE_STATE),
    "ChannelTalkingStarted": (SPEECH_FROM, ShedKind.SPEECH),
    "ChannelTalkingFinished": (SPEECH_FROM, ShedKind.SPEECH),
}
_UNUSED = (USELESS_FROM, ShedKind.UNUSED)
_DEAR = (2.0, ShedKind.ALL)


def shed(kind: str, fill: float) -> ShedKind | None:
    """The kind under which an arriving event is left out, None to keep it. `fill`: how full the queue is.

    A frame without a type is kept, so that it is reported as malformed.
    """
    if kind in KNOWN_TYPES or not kind:
        at, what = _CHEAP.get(kind, _DEAR)
    else:
        at, what = _UNUSED
    return what if fill >= at else None

"""The hand-over to the rating: the operator leaves the talk, and the client goes on to the menu.

dialplan/callsteward-rating.conf reports it with a UserEvent when the client's channel arrives there. From
then on the client's own hang-up ends no conversation, so what was known by then decides who ended the talk.
An operator who left the client in this way has not hung up on them (docs/standard.md,
`operator_hangs_up_last`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from callsteward.calls.hangup import HangupRequest, attribute
from callsteward.record.call import Confidence, Hangup, Party

if TYPE_CHECKING:
    from callsteward.ari.events import ChannelUserevent
    from callsteward.calls.model import Call

_OPERATOR = Party.OPERATOR


def announced(event: ChannelUserevent) -> bool:
    """True if the event says that a channel has come to the rating."""
    return event.eventname == "callsteward" and event.userevent.get("state") == "rating"


def ended_by(call: Call, requests: Sequence[HangupRequest], abnormal: Collection[int]) -> tuple[Hangup, bool]:
    """Who ended the talk before the client came to the rating, and whether that was a hand-over.

    An operator's BYE and a transfer are certain. If there was no hang-up request at all, the operator pressed
    the disconnect code (Dial and Queue, option h): that is likely only, since an end over AMI looks the same.
    """
    if call.transfers and call.transfers[-1].to_rating:
        told = f"transferred to the rating by {call.transfers[-1].by or 'an operator'}"
        return Hangup(_OPERATOR, None, None, (told,), Confidence.CERTAIN), True
    hangup = attribute(requests, call.ends, abnormal, parted=call.parted)
    if hangup.first is _OPERATOR:
        noted = (*hangup.evidence, "the client was handed over to the rating")
        return msgspec.structs.replace(hangup, evidence=noted), True
    if not requests and hangup.first in {Party.PBX, Party.UNKNOWN}:
        told = "no hang-up request, the client was handed over to the rating"
        return Hangup(_OPERATOR, hangup.cause, hangup.tech_cause, (told,), Confidence.LIKELY), True
    return hangup, False

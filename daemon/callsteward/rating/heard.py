"""What Asterisk says about rating calls: the dialplan's UserEvents, and Local channels that end."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.ari import events as ari
from callsteward.calls.rating_id import rating_of

EVENT = "callsteward"


class Said(StrEnum):
    """`state` of the UserEvents of dialplan/callsteward-rating.conf; `gone` is a channel's end."""

    DIALLING = "rating_dialling"
    OVER = "rating_over"
    FENCE = "rating_fence"
    LOCKED = "rating_locked"
    REFUSED = "rating_refused"
    GONE = "gone"


class Heard(msgspec.Struct, frozen=True):
    """One thing Asterisk said about a rating. `status` is Dial's, `at` when the fence was claimed."""

    rating: str
    said: Said
    channel_id: str = ""
    status: str = ""
    cause: int = 0
    at: str = ""


_SAID = {said.value: said for said in Said if said is not Said.GONE}


def read(event: ari.Event) -> Heard | None:
    """What an event says about a rating call, None where it says nothing. Never raises for what is in it."""
    if isinstance(event, ari.ChannelDestroyed):
        rating = rating_of(event.channel.id)
        return None if rating is None else Heard(rating, Said.GONE, event.channel.id, cause=event.cause)
    if not isinstance(event, ari.ChannelUserevent) or event.eventname != EVENT:
        return None
    fields = {key: value for key, value in event.userevent.items() if isinstance(value, str)}
    said = _SAID.get(fields.get("state", ""))
    rating = fields.get("rt", "")
    if said is None or not rating:
        return None
    cause = fields.get("cause", "")
    return Heard(
        rating,
        said,
        "" if event.channel is None else event.channel.id,
        fields.get("status") or fields.get("result", ""),
        int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else 0,
        fields.get("at", ""),
    )


_REASONS = {
    "NOANSWER": "no_answer",
    "BUSY": "busy",
    "CANCEL": "not_dialled",
    "CHANUNAVAIL": "unavailable",
    "CONGESTION": "unavailable",
}
_REJECTED = 21


def not_reached(status: str, cause: int) -> str:
    """Why the client was not reached, by DIALSTATUS and Q.850 cause."""
    if cause == _REJECTED:
        return "rejected"
    return _REASONS.get(status, "result_unknown")

"""What Asterisk says about callbacks: the dialplan's UserEvents, and channels that end."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.ari import events as ari
from callsteward.calls.callback_id import callback_of

EVENT = "callsteward"


class Said(StrEnum):
    """`state` of the UserEvents of dialplan/callsteward-callback.conf; `gone` is a channel's end."""

    OPERATOR_ANSWERED = "operator_answered"
    DECLINED = "declined"
    DIALLING = "dialling"
    OVER = "over"
    FENCE = "fence"
    LOCKED = "locked"
    REFUSED = "refused"
    FORGOTTEN = "forgotten"
    GONE = "gone"


class Heard(msgspec.Struct, frozen=True):
    """One thing Asterisk said about a callback. `status` is Dial's, `at` when the fence was claimed."""

    callback: str
    said: Said
    channel_id: str = ""
    status: str = ""
    cause: int = 0
    at: str = ""


_SAID = {said.value: said for said in Said if said is not Said.GONE}


def read(event: ari.Event) -> Heard | None:
    """What an event says about a callback, None where it says nothing. Never raises for what is in it."""
    if isinstance(event, ari.ChannelDestroyed):
        callback = callback_of(event.channel.id)
        return None if callback is None else Heard(callback, Said.GONE, event.channel.id, cause=event.cause)
    if not isinstance(event, ari.ChannelUserevent) or event.eventname != EVENT:
        return None
    fields = {key: value for key, value in event.userevent.items() if isinstance(value, str)}
    said = _SAID.get(fields.get("state", ""))
    callback = fields.get("cb", "")
    if said is None or not callback:
        return None
    cause = fields.get("cause", "")
    return Heard(
        callback,
        said,
        "" if event.channel is None else event.channel.id,
        fields.get("status") or fields.get("result", ""),
        int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else 0,
        fields.get("at", ""),
    )


# DIALSTATUS of the one dial, as the ledger gives it.
_REASONS = {
    "NOANSWER": "no_answer",
    "BUSY": "busy",
    "CANCEL": "operator_hung_up",
    "CHANUNAVAIL": "unavailable",
    "CONGESTION": "unavailable",
}
_REJECTED = 21


def not_reached(status: str, cause: int) -> str:
    """Why the client was not reached."""
    if cause == _REJECTED:
        return "rejected"
    return _REASONS.get(status, "result_unknown")


_NOT_ANSWERED = {
    17: "operator_busy",
    19: "operator_no_answer",
    21: "operator_rejected",
    20: "operator_offline",
}


def not_answered(cause: int) -> str:
    """Why an operator did not take the callback, by the Q.850 cause of their phone's channel."""
    return _NOT_ANSWERED.get(cause, "operator_no_answer")

"""What the shipped dialplans say of what is dialled behind a fence: UserEvents, and channels that end.

A callback and a rating call are told alike; the field that names it and the states are each one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from callsteward.ari import events as ari

EVENT = "callsteward"

S = TypeVar("S", bound=StrEnum)


class Heard(msgspec.Struct, Generic[S], frozen=True):
    """One thing Asterisk said.

    `about`: the callback, or the rating; `status` is Dial's; `at`: the claim; `attempt`: asked so far.
    """

    about: str
    said: S
    channel_id: str = ""
    status: str = ""
    cause: int = 0
    at: str = ""
    attempt: str = ""


class Reader(Generic[S]):
    """Reads one kind.

    `field` names it in a UserEvent, `states` are what its `state` may be, `gone` among them a channel's end,
    and `of_channel` tells from a channel's id what it was made for.
    """

    def __init__(
        self, field: str, states: type[S], *, gone: S, of_channel: Callable[[str], str | None]
    ) -> None:
        self._field = field
        self._states = {said.value: said for said in states if said is not gone}
        self._gone = gone
        self._of_channel = of_channel

    def read(self, event: ari.Event) -> Heard[S] | None:
        """What an event says, None where it says nothing. Never raises for what is in it."""
        if isinstance(event, ari.ChannelDestroyed):
            about = self._of_channel(event.channel.id)
            return None if about is None else Heard(about, self._gone, event.channel.id, cause=event.cause)
        if not isinstance(event, ari.ChannelUserevent) or event.eventname != EVENT:
            return None
        fields = {key: value for key, value in event.userevent.items() if isinstance(value, str)}
        said = self._states.get(fields.get("state", ""))
        named = fields.get(self._field, "")
        if said is None or not named:
            return None
        cause = fields.get("cause", "")
        return Heard(
            named,
            said,
            "" if event.channel is None else event.channel.id,
            fields.get("status") or fields.get("result", ""),
            int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else 0,
            fields.get("at", ""),
            fields.get("attempt", ""),
        )


# DIALSTATUS of the one dial, as the ledgers give it.
_REASONS = {
    "NOANSWER": "no_answer",
    "BUSY": "busy",
    "CHANUNAVAIL": "unavailable",
    "CONGESTION": "unavailable",
}
_REJECTED = 21


def not_reached(status: str, cause: int, *, cancelled: str) -> str:
    """Why the client was not reached, by DIALSTATUS and Q.850 cause; `cancelled` is the word for CANCEL."""
    if cause == _REJECTED:
        return "rejected"
    return cancelled if status == "CANCEL" else _REASONS.get(status, "result_unknown")

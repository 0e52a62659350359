"""Reports about calls behind a fence: the shipped dialplans' UserEvents, and channels that end.

Callbacks and rating calls are reported alike; the field with the name, and the states, differ.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from callsteward.ari import events as ari

EVENT = "callsteward"

S = TypeVar("S", bound=StrEnum)


class FenceReport(msgspec.Struct, Generic[S], frozen=True):
    """One report.

    `about`: the callback's or rating's name; `status`: Dial's status; `at`: the time of the claim; `attempt`:
    how many operators were rung so far.
    """

    about: str
    said: S
    channel_id: str = ""
    status: str = ""
    cause: int = 0
    at: str = ""
    attempt: str = ""


class FenceReportReader(Generic[S]):
    """Reads the reports of one kind.

    `field`: the key of the name in a UserEvent; `states`: the values that its `state` may have, among them
    `gone` for a channel's end; `of_channel`: the name that belongs to a channel's id.
    """

    def __init__(
        self, field: str, states: type[S], *, gone: S, of_channel: Callable[[str], str | None]
    ) -> None:
        self._field = field
        self._states = {said.value: said for said in states if said is not gone}
        self._gone = gone
        self._of_channel = of_channel

    def read(self, event: ari.Event) -> FenceReport[S] | None:
        """The report in an event, None if it has none. Never raises for an event's content."""
        if isinstance(event, ari.ChannelDestroyed):
            about = self._of_channel(event.channel.id)
            return (
                None if about is None else FenceReport(about, self._gone, event.channel.id, cause=event.cause)
            )
        if not isinstance(event, ari.ChannelUserevent) or event.eventname != EVENT:
            return None
        fields = {key: value for key, value in event.userevent.items() if isinstance(value, str)}
        said = self._states.get(fields.get("state", ""))
        named = fields.get(self._field, "")
        if said is None or not named:
            return None
        cause = fields.get("cause", "")
        return FenceReport(
            named,
            said,
            "" if event.channel is None else event.channel.id,
            fields.get("status") or fields.get("result", ""),
            int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else 0,
            fields.get("at", ""),
            fields.get("attempt", ""),
        )


# DIALSTATUS of the one dial, in the ledgers' words.
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

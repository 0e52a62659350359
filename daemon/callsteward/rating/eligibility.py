"""Is the client asked for a rating? One pure decision for every case, with the rule that made it.

docs/standard.md, `rating`: a client is asked after the talk, but not if they are to be called back, after
outgoing calls or atypical questions, nor twice. Rules about the call come before rules about the client, and
the draw comes last.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from callsteward.record.call import Decision, Direction

if TYPE_CHECKING:
    from callsteward.config.profile import Profile
    from callsteward.outgoing.guard import Checked

ATYPICAL = "atypical"
COMPLAINT = "complaint"


class Why(StrEnum):
    """The rule by which a client is not asked. The number guard's refusals come on top of these."""

    NOT_CONFIGURED = "not_configured"
    LINE_DOES_NOT_ASK = "line_does_not_ask"
    INTERNAL = "internal"
    OUTBOUND = "outbound"
    RATING_CALL = "rating_call"
    AFTER_CALLBACK = "after_callback"
    NOT_CONNECTED = "not_connected"
    NO_DIALOGUE = "no_dialogue"
    CONNECTION_BROKE = "connection_broke"
    CALLBACK_DUE = "callback_due"
    CALLBACK_PENDING = "callback_pending"
    ATYPICAL = "atypical"
    DO_NOT_CALL = "do_not_call"
    ASKED_RECENTLY = "asked_recently"
    NOT_IN_SAMPLE = "not_in_sample"


WHATEVER_IS_KNOWN = frozenset(
    {
        Why.NOT_CONFIGURED,
        Why.LINE_DOES_NOT_ASK,
        Why.INTERNAL,
        Why.OUTBOUND,
        Why.RATING_CALL,
        Why.AFTER_CALLBACK,
        Why.NOT_CONNECTED,
        Why.NO_DIALOGUE,
        Why.CALLBACK_DUE,
    }
)
"""The rules that come before all that is known of the client: where one of them forbids, nobody looks."""


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A call and its client, with all that the decision needs.

    `dialogue`: the greeting was over. `callback_pending`: a callback to the client is open, whichever call it
    comes from. `asked_days_ago`: days since the client was last asked, None for never.
    """

    call_id: str
    direction: Direction
    connected: bool
    dialogue: bool
    broke: bool = False
    callback: Decision = Decision.NOT_DUE
    callback_pending: bool = False
    tags: frozenset[str] = frozenset()
    do_not_call: bool = False
    client: Checked | None = None
    asked_days_ago: float | None = None


def against(talk: Talk, profile: Profile, *, enabled: bool) -> str | None:
    """The first rule that forbids asking, None if the client is asked."""
    if not enabled:
        return Why.NOT_CONFIGURED.value
    if profile.rating == "off":
        return Why.LINE_DOES_NOT_ASK.value
    why = _of_direction(talk.direction, after_callback=profile.rating_after_callback) or _of_call(talk)
    if why is not None:
        return why.value
    if profile.rating == "call":
        refusal = _of_number(talk)
        if refusal is not None:
            return refusal
    asked = talk.asked_days_ago
    if asked is not None and asked < profile.rating_quiet_days:
        return Why.ASKED_RECENTLY.value
    return None if drawn(talk.call_id, profile.rating_share) else Why.NOT_IN_SAMPLE.value


_DIRECTIONS = {
    Direction.INTERNAL: Why.INTERNAL,
    Direction.OUTBOUND: Why.OUTBOUND,
    Direction.RATING: Why.RATING_CALL,
    Direction.CALLBACK: Why.AFTER_CALLBACK,
}


def _of_direction(direction: Direction, *, after_callback: bool) -> Why | None:
    if direction is Direction.CALLBACK and after_callback:
        return None
    return _DIRECTIONS.get(direction)


def _of_call(talk: Talk) -> Why | None:
    if not talk.connected:
        return Why.NOT_CONNECTED
    if not talk.dialogue:
        return Why.NO_DIALOGUE
    if talk.callback is Decision.DUE:
        return Why.CALLBACK_DUE
    if talk.callback_pending:
        return Why.CALLBACK_PENDING
    if talk.broke:
        # No callback is due for it, but a talk that broke is not rated.
        return Why.CONNECTION_BROKE
    return Why.ATYPICAL if ATYPICAL in talk.tags else None


def _of_number(talk: Talk) -> str | None:
    if talk.do_not_call:
        return Why.DO_NOT_CALL.value
    client = talk.client
    if client is None or client.number is None:
        return "no_number" if client is None or client.refusal is None else client.refusal.value
    return None


def drawn(call_id: str, share: float) -> bool:
    """True if a call is in the sample. The answer for a call is always the same."""
    digest = hashlib.sha256(b"callsteward.rating/" + call_id.encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64

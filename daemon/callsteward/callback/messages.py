"""The message about a callback; the envelope is explained in `feed.messages`."""

from __future__ import annotations

from typing import Literal

from callsteward.callback.states import CallbackMoved, CallbackState
from callsteward.feed.envelope import BLANK, Count, Envelope, Stamp, identity, stamp
from callsteward.feed.tell import Tell, Topic
from callsteward.outgoing.words import Actor


class CallbackMessage(Envelope, frozen=True, kw_only=True):
    """`callbacks/LINE`: a callback has a new state. Times are Asterisk's clock.

    `operator` had the client when the talk broke, `asked` is the one who is asked to call back, as number
    `attempt`; `call_id` is the record of the callback itself once an operator was asked.
    """

    schema: Literal["callsteward.callback/1"] = "callsteward.callback/1"
    callback_id: str
    origin_call_id: str
    line: str
    state: CallbackState
    reason: str
    actor: Actor
    at: Stamp
    dropped_at: Stamp
    client_masked: str | None
    client_ref: str | None
    operator: str | None
    asked: str | None
    attempt: Count
    call_id: str | None


def callback(site: str, fact: CallbackMoved) -> CallbackMessage:
    moved = fact.callback
    return CallbackMessage(
        **{**BLANK, "message_id": message_id(site, fact)},
        site=site,
        callback_id=moved.id,
        origin_call_id=moved.origin_call_id,
        line=moved.line,
        state=moved.state,
        reason=moved.reason,
        actor=fact.actor,
        at=stamp(moved.changed_at_ms),
        dropped_at=stamp(moved.dropped_at_ms),
        client_masked=moved.client_masked,
        client_ref=moved.client_ref,
        operator=moved.operator,
        asked=moved.asked,
        attempt=moved.attempts,
        call_id=moved.channel_id,
    )


def message_id(site: str, fact: CallbackMoved) -> str:
    """The same on every try."""
    moved = fact.callback
    parts = (moved.origin_call_id, moved.state.value, moved.attempts, moved.changed_at_ms)
    return identity("callbacks", site, *parts)


TELLS = (
    Tell(
        fact=CallbackMoved,
        message=callback,
        topic=lambda fact: ("callbacks", fact.callback.line),
        durable="callback",
        message_id=message_id,
        line=lambda fact: fact.callback.line,
        made_ms=lambda fact: fact.callback.changed_at_ms,
    ),
)
TOPICS = {
    "callbacks": Topic(
        "callbacks/{line}",
        CallbackMessage,
        published_as={CallbackState: "callsteward.callback.states.State"},
    )
}

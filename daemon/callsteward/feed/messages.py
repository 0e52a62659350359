"""The messages about calls, as types, and what all messages carry.

Each carries the same envelope beside its own fields, all at the top level:

- `schema`: what the message is, with its version after the slash.
- `message_id`: the same on every try, so that a subscriber can leave out what came twice. For a record,
  an alert and a call event it is made from what they say (UUIDv5), and so survives a restart too.
- `boot_id`: the run of the daemon that sent it. What one run stored and the next one delivers has the
  next one's, and a number of its own there.
- `seq`: records, callbacks, alerts and call events of one boot are numbered 1, 2, 3 … together, in the
  order they happened. Who subscribes to all of the site's topics and sees a number missing knows that a
  message was dropped; look at the number before leaving out a message_id that came before. A revision of
  an interval that a newer one overtook while it waited is not sent and takes no number. Gauges and
  status take no number, since of those only the newest counts: their `seq` is the last number given out
  when they were made.
- `ts`: when the message was made, RFC 3339 UTC. When the thing itself happened is in its own fields.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal, TypeVar

import msgspec

from callsteward.feed import envelope
from callsteward.feed.envelope import BLANK, Count, Envelope, PublishedSeconds, Stamp, identity
from callsteward.record.call import CallRecord
from callsteward.record.facts import Alert, CallHappened, CallTagged, Happening
from callsteward.record.tag import Source, Tag


class CallEventMessage(Envelope, frozen=True, kw_only=True):
    """`calls/LINE/events`: something happened to a call. `at` is Asterisk's clock.

    Of a `tag` event alone `tag` (null all the same for keys that are none) and `result` are set: noted,
    do_not_call, callback_due, callback_suppressed: why, callback_not_due: why, or refused: why. `by` is
    who gave it.
    A tag's value, which may be anything, is not published.
    """

    schema: Literal["callsteward.call-event/1"] = "callsteward.call-event/1"
    call_id: str
    line: str
    event: Happening
    at: Stamp
    operator: str | None
    client_masked: str | None
    by: str | None
    to: str | None
    duration_s: PublishedSeconds | None
    tag: Tag | None = None
    result: str | None = None


class AlertMessage(Envelope, frozen=True, kw_only=True):
    """`alerts/LINE/RULE`: a rule broke while the call is on, or operators are not there.

    `paused_too_long`, `nobody_free` and `everybody_away` are about operators: their `call_id` is empty.
    `at` is when the limit was crossed, `since` when what it limits began, both by Asterisk's clock.
    """

    schema: Literal["callsteward.alert/1"] = "callsteward.alert/1"
    call_id: str
    line: str
    rule: str
    at: Stamp
    since: Stamp
    limit_s: PublishedSeconds
    operator: str | None


class DaemonAlertMessage(Envelope, frozen=True, kw_only=True):
    """`alerts/$daemon/RULE`: something is wrong with the daemon's own work, on no line in particular.

    `outbox_filling`, `outbox_dropping`: `value` and `limit` are bytes. `publish_refused`: the broker has
    answered a message with an error (MQTT 5), which is dropped; `value` is how many so far.
    """

    schema: Literal["callsteward.daemon-alert/1"] = "callsteward.daemon-alert/1"
    rule: str
    at: Stamp
    value: float | None
    limit: float | None
    detail: str


class CallEndedMessage(CallRecord, frozen=True, kw_only=True):
    """`calls/LINE/ended`: the call record, its own fields as they are, with the envelope beside them."""

    message_id: str
    boot_id: str
    seq: Count
    ts: Stamp


Message = Envelope | CallEndedMessage
"""Any message: it has the envelope's fields."""
M = TypeVar("M", bound=Message)

_encoder = msgspec.json.Encoder()
stamp = envelope.stamp


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def stamped(message: M, *, boot_id: str, seq: int, now_ms: int) -> M:
    """The message with its envelope; one that repeats itself keeps its id, a gauge gets a new one."""
    return msgspec.structs.replace(
        message,
        message_id=message.message_id or str(uuid.uuid4()),
        boot_id=boot_id,
        seq=seq,
        ts=stamp(now_ms),
    )


def addressed(payload: bytes, *, boot_id: str, seq: int) -> bytes:
    """A stored message as this boot sends it: nothing but boot_id and seq differs between boots.

    Raises msgspec.DecodeError for what is no message.
    """
    body = msgspec.json.decode(payload, type=dict[str, Any])
    return _encoder.encode({**body, "boot_id": boot_id, "seq": seq})


def call_event(site: str, fact: CallHappened) -> CallEventMessage:
    parts = (fact.call_id, fact.event.value, fact.at_ms, fact.operator, fact.by, fact.to)
    return CallEventMessage(
        **{**BLANK, "message_id": identity("events", site, *parts)},
        site=site,
        call_id=fact.call_id,
        line=fact.line,
        event=fact.event,
        at=stamp(fact.at_ms),
        operator=fact.operator,
        client_masked=fact.client_masked,
        by=fact.by,
        to=fact.to,
        duration_s=fact.duration_s,
    )


def call_tag(site: str, fact: CallTagged) -> CallEventMessage:
    # Taken, it is the same one however often; refused, each try is one of its own.
    at_ms = fact.at_ms if fact.refused else None
    parts = (fact.call_id, fact.tag, fact.value, fact.by, fact.source.value, fact.refused, at_ms)
    return CallEventMessage(
        **{**BLANK, "message_id": identity("tags", site, *parts)},
        site=site,
        call_id=fact.call_id,
        line=fact.line,
        event=Happening.TAG,
        at=stamp(fact.at_ms),
        operator=fact.by if fact.source in {Source.PHONE, Source.WRAP_UP} else None,
        client_masked=None,
        by=fact.by,
        to=None,
        duration_s=None,
        tag=fact.tag,
        result=f"refused: {fact.refused}" if fact.refused else fact.result,
    )


def alert(site: str, fact: Alert) -> AlertMessage:
    about = fact.call_id or f"{fact.line} {fact.operator or ''}"
    return AlertMessage(
        **{**BLANK, "message_id": identity("alerts", site, about, fact.rule, fact.since_ms)},
        site=site,
        call_id=fact.call_id,
        line=fact.line,
        rule=fact.rule,
        at=stamp(fact.at_ms),
        since=stamp(fact.since_ms),
        limit_s=fact.limit_s,
        operator=fact.operator,
    )


def daemon_alert(
    site: str, rule: str, at_ms: int, *, value: float | None, limit: float | None, detail: str
) -> DaemonAlertMessage:
    return DaemonAlertMessage(
        **BLANK, site=site, rule=rule, at=stamp(at_ms), value=value, limit=limit, detail=detail
    )


def call_ended(record: CallRecord) -> CallEndedMessage:
    own = {name: getattr(record, name) for name in record.__struct_fields__}
    return CallEndedMessage(**{**own, **BLANK, "message_id": ended_id(record)})


def ended_id(record: CallRecord) -> str:
    """The message_id of a record."""
    return identity("ended", record.site, record.call_id)

"""Every message on the wire, as a type; `json_schemas()` is the contract made from them.

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

from callsteward.callback.states import Actor, CallbackMoved, State
from callsteward.commands.reply import Reply, Status
from callsteward.feed import envelope
from callsteward.feed.envelope import BLANK, Count, Envelope, Seconds, Stamp, identity
from callsteward.feed.gauge_messages import LineNowMessage, OperatorNowMessage
from callsteward.feed.rating_messages import ComplaintMessage, RatingMessage
from callsteward.feed.status_message import StatusMessage
from callsteward.intervals import grid
from callsteward.intervals import message as interval_message
from callsteward.intervals.message import LineIntervalMessage, OperatorIntervalMessage
from callsteward.intervals.row import IntervalRow, Kind
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
    duration_s: Seconds | None
    tag: Tag | None = None
    result: str | None = None


class AlertMessage(Envelope, frozen=True, kw_only=True):
    """`alerts/LINE/RULE`: a rule broke while the call is on.

    `at` is when the limit was crossed, `since` when what it limits began, both by Asterisk's clock.
    """

    schema: Literal["callsteward.alert/1"] = "callsteward.alert/1"
    call_id: str
    line: str
    rule: str
    at: Stamp
    since: Stamp
    limit_s: Seconds
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


class CallbackMessage(Envelope, frozen=True, kw_only=True):
    """`callbacks/LINE`: a callback has a new state. Times are Asterisk's clock.

    `operator` had the client when the talk broke, `asked` is the one who is asked to call back, as number
    `attempt`; `call_id` is the record of the callback itself once an operator was asked.
    """

    schema: Literal["callsteward.callback/1"] = "callsteward.callback/1"
    callback_id: str
    origin_call_id: str
    line: str
    state: State
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


class ReplyMessage(Envelope, frozen=True, kw_only=True):
    """`replies/ID`: what came of a command. `id` is the command's own; not numbered, so `seq` is 0."""

    schema: Literal["callsteward.reply/1"] = "callsteward.reply/1"
    id: str
    command: str
    status: Status
    reason: str
    detail: str
    result: str | None
    call_id: str | None
    at: Stamp


Message = (
    StatusMessage
    | LineNowMessage
    | OperatorNowMessage
    | CallEventMessage
    | AlertMessage
    | DaemonAlertMessage
    | CallEndedMessage
    | CallbackMessage
    | ReplyMessage
    | LineIntervalMessage
    | OperatorIntervalMessage
    | RatingMessage
    | ComplaintMessage
)
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


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each message, by the name in its `schema` field."""
    return {
        next(field.default for field in msgspec.structs.fields(kind) if field.name == "schema"): schema
        for kind in Message.__args__
        for schema in [msgspec.json.schema(schema_type(kind))]
    }


def addressed(payload: bytes, *, boot_id: str, seq: int) -> bytes:
    """A stored message as this boot sends it: nothing but boot_id and seq differs between boots.

    Raises msgspec.DecodeError for what is no message.
    """
    body = msgspec.json.decode(payload, type=dict[str, Any])
    return _encoder.encode({**body, "boot_id": boot_id, "seq": seq})


def schema_type(kind: type[msgspec.Struct]) -> Any:
    """What the schema of a message is made from: the type itself, but for one that depends on settings."""
    if kind is LineIntervalMessage:
        return interval_message.described(interval_message.line_type())
    if kind is OperatorIntervalMessage:
        return interval_message.described(interval_message.operator_type())
    return kind


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


def reply(site: str, answer: Reply) -> ReplyMessage:
    return ReplyMessage(
        **{
            **BLANK,
            "message_id": identity("replies", site, answer.id, answer.command, answer.status, answer.at),
        },
        site=site,
        id=answer.id,
        command=answer.command,
        status=answer.status,
        reason=answer.reason,
        detail=answer.detail,
        result=answer.result,
        call_id=answer.call_id,
        at=answer.at,
    )


def alert(site: str, fact: Alert) -> AlertMessage:
    return AlertMessage(
        **{**BLANK, "message_id": identity("alerts", site, fact.call_id, fact.rule, fact.since_ms)},
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
    return CallEndedMessage(
        **{**own, **BLANK, "message_id": identity("ended", record.site, record.call_id)},
    )


def callback(site: str, fact: CallbackMoved) -> CallbackMessage:
    moved = fact.callback
    parts = (moved.origin_call_id, moved.state.value, moved.attempts, moved.changed_at_ms)
    return CallbackMessage(
        **{**BLANK, "message_id": identity("callbacks", site, *parts)},
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


def interval_id(row: IntervalRow, revision: int) -> str:
    """The message_id of a revision of a row."""
    parts = (row.site, row.kind.value, row.name, row.start_ms, row.minutes, revision)
    return identity("intervals", *parts)


def interval(row: IntervalRow) -> LineIntervalMessage | OperatorIntervalMessage:
    """A row as its message; the same revision of it has the same id on every try."""
    own = {
        **BLANK,
        "message_id": interval_id(row, row.revision),
        "site": row.site,
        "start": grid.iso(row.start_ms),
        "end": grid.iso(row.end_ms),
        "minutes": row.minutes,
        "revision": row.revision,
        "final": row.final,
        **row.values,
    }
    if row.kind is Kind.LINE:
        return interval_message.line_type(row.thresholds_s)(line=row.name, **own)
    return interval_message.operator_type(row.thresholds_s)(operator=row.name, **own)

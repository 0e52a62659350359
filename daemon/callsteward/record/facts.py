"""Facts: the tracker's statements about calls, as values. The shell stores and publishes them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.record.call import CallRecord, Direction
from callsteward.record.tag import Source, Tag


class Happening(StrEnum):
    """Events in a call's life while it is on (topic `calls/LINE/events`)."""

    STARTED = "started"
    RINGING = "ringing"
    ANSWERED = "answered"
    HOLD = "hold"
    UNHOLD = "unhold"
    SILENCE = "silence"
    TRANSFER = "transfer"
    HANGUP = "hangup"
    TAG = "tag"


class CallHappened(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened in a call. `at_ms` is Asterisk's clock, ms since 1970."""

    call_id: str
    line: str
    event: Happening
    at_ms: int
    operator: str | None = None
    client_masked: str | None = None
    by: str | None = None
    to: str | None = None
    duration_s: float | None = None
    client_number: str = ""
    """The client's number, at the start of a call or a talk; for the callback ledger alone, not published."""
    outbound: bool = False
    """Whether the client was called; not published."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule was broken while the call is still on. `at_ms` is the moment its limit was crossed.

    `call_id` is empty for an alert about operators.
    """

    call_id: str
    line: str
    rule: str
    at_ms: int
    operator: str | None
    limit_s: float
    since_ms: int


class CallEnded(msgspec.Struct, frozen=True):
    """A call has ended, with its record.

    `client_number` is for the callback ledger alone and is not published.
    """

    record: CallRecord
    client_number: str = ""


class CallTagged(msgspec.Struct, frozen=True, kw_only=True):
    """A tag was given to a call. `at_ms` is Asterisk's clock.

    `call_id` is empty if the tracker does not know the operator's last call; `ended` says that the call's
    record is made already. `refused` says why nothing follows from the tag, `result` what followed (in the
    shell's words). `channel` is the phone that waits for an answer, `command` the command that does.
    """

    call_id: str
    line: str
    tag: Tag | None
    at_ms: int
    by: str
    source: Source
    value: str = ""
    ended: bool = False
    refused: str = ""
    result: str = ""
    channel: str = ""
    command: str = ""
    client_number: str = ""
    """The client's number, for the callback ledger alone, not published."""
    repeated: bool = False
    """The tag was written down and published before."""


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """A client's channel has come to the rating. For the rating alone, not published.

    `dialogue`: the greeting was over. `handed_over`: the operator left the talk to the rating; false if the
    talk ended in another way, or there was none.
    """

    call_id: str
    channel_id: str
    line: str
    direction: Direction
    at_ms: int
    operator: str | None
    connected: bool
    dialogue: bool
    handed_over: bool
    client_number: str
    client_masked: str | None
    client_ref: str | None


Fact = CallHappened | Alert | CallEnded | CallTagged | HandOver


class LineNow(msgspec.Struct, kw_only=True):
    """A line's gauges at one moment. `longest_wait_since_ms`: when the client who waits longest arrived.

    `lost`: lost calls that nobody has dealt with yet; it comes from the store, and the tracker leaves it 0.
    """

    line: str
    waiting: int = 0
    ringing: int = 0
    talking: int = 0
    on_hold: int = 0
    lost: int = 0
    longest_wait_since_ms: int | None = None


class OperatorState(StrEnum):
    IDLE = "idle"
    RINGING = "ringing"
    TALKING = "talking"
    ON_HOLD = "on_hold"


class OperatorStatus(StrEnum):
    """The status of an operator, by calls, phone and queues together.

    The first four are those of `OperatorState`, with `free` for an idle operator whom a call can reach.
    """

    FREE = "free"
    RINGING = "ringing"
    TALKING = "talking"
    ON_HOLD = "on_hold"
    WRAP_UP = "wrap_up"
    PAUSED = "paused"
    AWAY = "away"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class OperatorNow(msgspec.Struct, kw_only=True):
    """An operator at one moment; `since_ms`: when this state began, `hold_since_ms`: when a hold began.

    The tracker sees calls alone: the fields from `status` on come from the part `statuses`. `status` is None
    where nobody says; `paused_queues` are the queues in which they are paused, None while that is not known.
    """

    operator: str
    state: OperatorState
    since_ms: int
    call_id: str | None = None
    line: str | None = None
    hold_since_ms: int | None = None
    status: OperatorStatus | None = None
    status_since_ms: int | None = None
    paused_queues: int | None = None
    paused_since_ms: int | None = None
    pause_reason: str | None = None

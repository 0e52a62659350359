"""What the tracker says: facts about calls, as values. The shell stores and publishes them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.record.call import CallRecord, Direction
from callsteward.record.tag import Source, Tag


class Happening(StrEnum):
    """What can happen to a call while it is on (topic `calls/LINE/events`)."""

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
    """Something happened to a call. `at_ms` is Asterisk's clock, ms since 1970."""

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
    """Where a call starts or a talk begins; for the callback ledger alone, not published."""
    outbound: bool = False
    """The client was called; not published."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule broke while the call is still on. `at_ms` is the moment its limit was crossed."""

    call_id: str
    line: str
    rule: str
    at_ms: int
    operator: str | None
    limit_s: float
    since_ms: int


class CallEnded(msgspec.Struct, frozen=True):
    """A call is over: its record. `client_number` is for the callback ledger alone, it is not published."""

    record: CallRecord
    client_number: str = ""


class CallTagged(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody said something about a call. `at_ms` is Asterisk's clock.

    `call_id` is empty where the tracker does not know the operator's last call, `ended` says that the
    call's record is made already. `refused` says why nothing follows, `result` what did (the shell's
    word). `channel` is the phone that waits for an answer, `command` the command that does.
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
    """For the callback ledger alone, not published."""
    repeated: bool = False
    """It was written down and told before."""


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """A client's channel has come to the rating. For the rating alone, it is not published.

    `dialogue`: the greeting was over. `handed_over`: the operator left the talk to the rating; false where
    the talk ended otherwise, or there was none.
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
    """A line's gauges at one moment. `longest_wait_since_ms`: when the client waiting longest came.

    `lost`: unanswered calls nobody has dealt with yet; it comes from the store, the tracker leaves it 0.
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


class OperatorNow(msgspec.Struct, kw_only=True):
    """An operator at one moment; `since_ms` when that state began, `hold_since_ms` when a hold did."""

    operator: str
    state: OperatorState
    since_ms: int
    call_id: str | None = None
    line: str | None = None
    hold_since_ms: int | None = None

"""The call record: the public contract, schema `callsteward.call/1`.

Times are RFC 3339 UTC with milliseconds; durations are seconds with three decimals, in fields ending `_s`. A
value that was not observed is null, never 0.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

SCHEMA: Literal["callsteward.call/1"] = "callsteward.call/1"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    CALLBACK = "callback"
    RATING = "rating"


class Side(StrEnum):
    OPERATOR = "operator"
    CLIENT = "client"


class Outcome(StrEnum):
    ABANDONED = "abandoned"
    SHORT_ABANDONED = "short_abandoned"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    EARLY_DROP = "early_drop"
    MID_DIALOGUE_DROP = "mid_dialogue_drop"
    COMPLETED = "completed"


SPOKEN_TO = frozenset({Outcome.COMPLETED, Outcome.MID_DIALOGUE_DROP})
"""The outcomes of a talk with a client: one who left during the greeting has not been spoken to."""


class Party(StrEnum):
    """Who ended the call first. `network`: the connection was lost."""

    CLIENT = "client"
    OPERATOR = "operator"
    PBX = "pbx"
    NETWORK = "network"
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class AttemptResult(StrEnum):
    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


class TransferKind(StrEnum):
    BLIND = "blind"
    ATTENDED = "attended"


class TransferResult(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"


class Decision(StrEnum):
    DUE = "due"
    NOT_DUE = "not_due"
    SUPPRESSED = "suppressed"


class RuleResult(StrEnum):
    MET = "met"
    BROKEN = "broken"
    NOT_APPLICABLE = "not_applicable"


class Hold(msgspec.Struct, frozen=True):
    by: Side
    at: str
    duration_s: float


class Silence(msgspec.Struct, frozen=True):
    """`at` is when the last speaker stopped."""

    at: str
    duration_s: float


class Speech(msgspec.Struct, frozen=True):
    """Speech during the talk. Null is what could not be heard: an endpoint without any talk event so far."""

    operator_s: float | None
    client_s: float | None
    overlap_s: float | None
    operator_interruptions: int | None
    client_interruptions: int | None
    first_operator_word_s: float | None


class Attempt(msgspec.Struct, frozen=True):
    operator: str
    at: str
    ring_s: float | None
    result: AttemptResult


class AttemptsLeftOut(msgspec.Struct, frozen=True):
    """Attempts of one operator with one result that have no entry of their own.

    `ring_s`: how long they rang in all. `operator` is null for operators beyond the first hundred rows.
    """

    operator: str | None
    result: AttemptResult
    attempts: int
    ring_s: float


class Transfer(msgspec.Struct, frozen=True):
    kind: TransferKind
    by: str | None
    to: str | None
    at: str
    result: TransferResult


class Hangup(msgspec.Struct, frozen=True):
    """Who hung up first, and the evidence for it. `lost_side` is set only if `first` is network."""

    first: Party
    cause: int | None
    tech_cause: int | None
    evidence: tuple[str, ...]
    confidence: Confidence
    lost_side: Side | None = None


class CallbackDecision(msgspec.Struct, frozen=True):
    """Whether a callback is due, and why. Reasons may be added.

    Suppressed by the client's number: no_number, not_a_number, ambiguous_number (digits without a plus that
    can be two people's), invalid_number, short_number, emergency_number, own_number, region_not_allowed,
    premium_number, satellite_number, type_not_allowed, denied_prefix.
    """

    decision: Decision
    reason: str


class Rating(msgspec.Struct, frozen=True):
    status: str
    reason: str
    score: int | None = None


class RuleCheck(msgspec.Struct, frozen=True):
    """One rule of the standard held against one call. `value` and `limit` are in the rule's own unit."""

    rule: str
    result: RuleResult
    value: float | bool | str | None
    limit: float | bool | str | None


class Span(msgspec.Struct, frozen=True):
    """A span that nobody observed; null if its start or end is not known either."""

    from_: str | None = msgspec.field(name="from")
    to: str | None = None


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One client's whole contact. Field by field: docs/record.md."""

    schema: Literal["callsteward.call/1"] = SCHEMA
    call_id: str
    site: str
    line: str
    direction: Direction
    client_masked: str | None
    client_ref: str | None
    operator: str | None
    started_at: str | None
    answered_at: str | None
    ended_at: str | None
    wait_s: float | None
    answer_latency_s: float | None
    left_waiting_s: float | None = None
    """For a client who after the last talk waited for another operator without success: from that talk's end
    to the client's."""
    talk_s: float | None
    hold_s: float | None
    duration_s: float | None
    holds: tuple[Hold, ...]
    silences: tuple[Silence, ...] | None
    speech: Speech | None
    attempts: tuple[Attempt, ...]
    attempts_left_out: tuple[AttemptsLeftOut, ...] = ()
    """For a call with more than 40 attempts: sums of those between the first 20 and the last 20."""
    transfers: tuple[Transfer, ...]
    hangup: Hangup
    outcome: Outcome
    callback: CallbackDecision
    rating: Rating
    standard: tuple[RuleCheck, ...]
    complete: bool
    unobserved: tuple[Span, ...]
    origin_call_id: str | msgspec.UnsetType = msgspec.UNSET
    """The call that broke (in a callback's record) or the call that is rated (in a rating call's). No other
    record has this field."""

    @property
    def connected(self) -> bool:
        """True if client and operator were connected, even if nobody saw since when."""
        return self.answered_at is not None or self.talk_s != 0

    def rang(
        self, operator: str | None = None, among: Collection[AttemptResult] = frozenset(AttemptResult)
    ) -> int:
        """How many attempts of an operator (None: of all) had one of the results, left out ones included."""
        made = sum(
            item.result in among and (operator is None or item.operator == operator) for item in self.attempts
        )
        return made + sum(
            item.attempts
            for item in self.attempts_left_out
            if item.result in among and (operator is None or item.operator == operator)
        )


def spoken_s(record: CallRecord) -> float:
    """How long the operator spoke; if they could not be heard, how long they talked with the client."""
    speech = record.speech
    spoken = speech.operator_s if speech is not None else None
    return (record.talk_s if spoken is None else spoken) or 0.0


_encoder = msgspec.json.Encoder()


def ms_of(moment: str | None) -> int | None:
    """A record's moment (RFC 3339) as ms since 1970; None stays None."""
    return None if moment is None else round(datetime.fromisoformat(moment).timestamp() * 1000)


def encode(record: CallRecord) -> bytes:
    """The record as one line of JSON without a newline, fields in the contract's order."""
    return _encoder.encode(record)

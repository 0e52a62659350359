"""The life of a callback: its states, what may follow what, and a transition as a fact.

    due -> offered -> operator_answered -> dialling -> reached | not_reached
    due -> suppressed | cancelled | expired

If the operator does not answer, no client was dialled: `offered` goes back to `due`. After a restart the
fence in Asterisk may show that the client of a callback in any state that is not final was dialled after all.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.outgoing.ledger_row import LedgerRow
from callsteward.outgoing.words import Actor


class CallbackState(StrEnum):
    DUE = "due"
    OFFERED = "offered"
    OPERATOR_ANSWERED = "operator_answered"
    DIALLING = "dialling"
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_DIALLED = frozenset({CallbackState.DIALLING, CallbackState.REACHED, CallbackState.NOT_REACHED})
GIVEN_UP = frozenset({CallbackState.SUPPRESSED, CallbackState.CANCELLED, CallbackState.EXPIRED})

ALLOWED: dict[CallbackState, frozenset[CallbackState]] = {
    CallbackState.DUE: frozenset({CallbackState.OFFERED}) | GIVEN_UP | _DIALLED,
    CallbackState.OFFERED: frozenset(
        {CallbackState.DUE, CallbackState.OPERATOR_ANSWERED, CallbackState.CANCELLED, CallbackState.EXPIRED}
    )
    | _DIALLED,
    CallbackState.OPERATOR_ANSWERED: frozenset(
        {CallbackState.DUE, CallbackState.CANCELLED, CallbackState.EXPIRED}
    )
    | _DIALLED,
    CallbackState.DIALLING: frozenset({CallbackState.REACHED, CallbackState.NOT_REACHED}),
    CallbackState.REACHED: frozenset(),
    CallbackState.NOT_REACHED: frozenset(),
    CallbackState.SUPPRESSED: frozenset(),
    # If it was cancelled while Asterisk was dialling already, the state becomes what really happened.
    CallbackState.CANCELLED: _DIALLED,
    CallbackState.EXPIRED: _DIALLED,
}
FINAL = frozenset({CallbackState.REACHED, CallbackState.NOT_REACHED}) | GIVEN_UP
OPEN = frozenset(CallbackState) - FINAL
UNDER_WAY = frozenset({CallbackState.OFFERED, CallbackState.OPERATOR_ANSWERED, CallbackState.DIALLING})
CANCELLABLE = frozenset({CallbackState.DUE, CallbackState.OFFERED, CallbackState.OPERATOR_ANSWERED})


class CallbackRow(LedgerRow, frozen=True, kw_only=True):
    """A callback in the ledger. `operator` had the client when the talk broke; `asked` is being rung now."""

    origin_call_id: str
    state: CallbackState
    dropped_at_ms: int
    asked: str | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the ledger. `evidence`: the grounds for it, in words."""

    at_ms: int
    from_state: CallbackState | None
    state: CallbackState
    actor: Actor
    reason: str
    operator: str | None
    evidence: str


class CallbackMoved(msgspec.Struct, frozen=True):
    """A callback has a new state, which is on disk. Published without the number."""

    callback: CallbackRow
    actor: Actor

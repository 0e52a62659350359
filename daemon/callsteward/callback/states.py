"""The life of a callback: its states, what may follow what, and a transition as a fact.

    due -> offered -> operator_answered -> dialling -> reached | not_reached
    due -> suppressed | cancelled | expired

An operator who does not answer is no attempt on the client: offered goes back to due. Whatever is not final
may turn out to have been dialled after all, when the fence in Asterisk says so after a restart.
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
    # Somebody cancelled it while Asterisk was dialling already: what happened is what is told.
    CallbackState.CANCELLED: _DIALLED,
    CallbackState.EXPIRED: _DIALLED,
}
FINAL = frozenset({CallbackState.REACHED, CallbackState.NOT_REACHED}) | GIVEN_UP
OPEN = frozenset(CallbackState) - FINAL
UNDER_WAY = frozenset({CallbackState.OFFERED, CallbackState.OPERATOR_ANSWERED, CallbackState.DIALLING})
CANCELLABLE = frozenset({CallbackState.DUE, CallbackState.OFFERED, CallbackState.OPERATOR_ANSWERED})


class CallbackRow(LedgerRow, frozen=True, kw_only=True):
    """A callback as the ledger has it. `operator` had the client when it broke, `asked` is rung now."""

    origin_call_id: str
    state: CallbackState
    dropped_at_ms: int
    asked: str | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step, as it stands in the ledger. `evidence`: what it rests on, in words."""

    at_ms: int
    from_state: CallbackState | None
    state: CallbackState
    actor: Actor
    reason: str
    operator: str | None
    evidence: str


class CallbackMoved(msgspec.Struct, frozen=True):
    """A callback has a new state, durably. Published as it is, number left out."""

    callback: CallbackRow
    actor: Actor

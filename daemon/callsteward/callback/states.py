"""The life of a callback: its states, what may follow what, and a transition as a fact.

    due -> offered -> operator_answered -> dialling -> reached | not_reached
    due -> suppressed | cancelled | expired

An operator who does not answer is no attempt on the client: offered goes back to due. Whatever is not final
may turn out to have been dialled after all, when the fence in Asterisk says so after a restart.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.outgoing.entry import Entry
from callsteward.outgoing.words import Actor


class State(StrEnum):
    DUE = "due"
    OFFERED = "offered"
    OPERATOR_ANSWERED = "operator_answered"
    DIALLING = "dialling"
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_DIALLED = frozenset({State.DIALLING, State.REACHED, State.NOT_REACHED})
GIVEN_UP = frozenset({State.SUPPRESSED, State.CANCELLED, State.EXPIRED})

ALLOWED: dict[State, frozenset[State]] = {
    State.DUE: frozenset({State.OFFERED}) | GIVEN_UP | _DIALLED,
    State.OFFERED: frozenset({State.DUE, State.OPERATOR_ANSWERED, State.CANCELLED, State.EXPIRED}) | _DIALLED,
    State.OPERATOR_ANSWERED: frozenset({State.DUE, State.CANCELLED, State.EXPIRED}) | _DIALLED,
    State.DIALLING: frozenset({State.REACHED, State.NOT_REACHED}),
    State.REACHED: frozenset(),
    State.NOT_REACHED: frozenset(),
    State.SUPPRESSED: frozenset(),
    # Somebody cancelled it while Asterisk was dialling already: what happened is what is told.
    State.CANCELLED: _DIALLED,
    State.EXPIRED: _DIALLED,
}
FINAL = frozenset({State.REACHED, State.NOT_REACHED}) | GIVEN_UP
OPEN = frozenset(State) - FINAL
UNDER_WAY = frozenset({State.OFFERED, State.OPERATOR_ANSWERED, State.DIALLING})
CANCELLABLE = frozenset({State.DUE, State.OFFERED, State.OPERATOR_ANSWERED})


class Callback(Entry, frozen=True, kw_only=True):
    """A callback as the ledger has it. `operator` had the client when it broke, `asked` is rung now."""

    origin_call_id: str
    state: State
    dropped_at_ms: int
    asked: str | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step, as it stands in the ledger. `evidence`: what it rests on, in words."""

    at_ms: int
    from_state: State | None
    state: State
    actor: Actor
    reason: str
    operator: str | None
    evidence: str


class CallbackMoved(msgspec.Struct, frozen=True):
    """A callback has a new state, durably. Published as it is, number left out."""

    callback: Callback
    actor: Actor

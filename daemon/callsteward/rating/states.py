"""The life of a rating: its states, what may follow what, and a step as a fact.

    asking -> answered | unanswered                                           (stay, transfer)
    scheduled -> dialling -> asking -> answered | unanswered                  (call)
    scheduled -> suppressed | expired | cancelled;  dialling -> not_reached, or scheduled again

A rating call is dialled behind a fence in Asterisk, as a callback is: who was dialled is not dialled again.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.outgoing.entry import Entry


class Mode(StrEnum):
    """How the client is asked."""

    STAY = "stay"
    TRANSFER = "transfer"
    CALL = "call"


class State(StrEnum):
    SCHEDULED = "scheduled"
    DIALLING = "dialling"
    ASKING = "asking"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    NOT_REACHED = "not_reached"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ALLOWED: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset(
        {State.DIALLING, State.ASKING, State.SUPPRESSED, State.CANCELLED, State.EXPIRED, State.NOT_REACHED}
    ),
    State.DIALLING: frozenset({State.SCHEDULED, State.ASKING, State.NOT_REACHED, State.UNANSWERED}),
    State.ASKING: frozenset({State.ANSWERED, State.UNANSWERED}),
    # The key came as the end did: what the client pressed counts.
    State.UNANSWERED: frozenset({State.ANSWERED}),
    State.ANSWERED: frozenset(),
    State.NOT_REACHED: frozenset({State.ASKING}),
    State.SUPPRESSED: frozenset(),
    State.CANCELLED: frozenset({State.ASKING}),
    State.EXPIRED: frozenset({State.ASKING}),
}
OPEN = frozenset({State.SCHEDULED, State.DIALLING})
ASKED = frozenset({State.ASKING, State.ANSWERED, State.UNANSWERED})


class Rating(Entry, frozen=True, kw_only=True):
    """A rating as the ledger has it."""

    call_id: str
    mode: Mode
    state: State
    score: int | None
    question: int | None
    comment_file: str | None
    comment_ms: int | None
    due_at_ms: int
    asked_at_ms: int | None
    answered_at_ms: int | None

    @property
    def answer_s(self) -> float | None:
        """Seconds from the beginning of the menu to the key."""
        if self.asked_at_ms is None or self.answered_at_ms is None:
            return None
        return max(0, self.answered_at_ms - self.asked_at_ms) / 1000


class RatingMoved(msgspec.Struct, frozen=True):
    """A rating has a new state or a new answer, durably. Published as it is, number left out."""

    rating: Rating


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """A low rating or a tagged complaint on a supervisor's list."""

    id: int
    site: str
    call_id: str
    line: str
    operator: str | None
    client_masked: str | None
    client_ref: str | None
    reason: str
    score: int | None
    raised_at_ms: int
    acknowledged_at_ms: int | None = None
    acknowledged_by: str | None = None
    comment: str | None = None


class ComplaintRaised(msgspec.Struct, frozen=True):
    """A complaint came onto the list, durably."""

    complaint: Complaint

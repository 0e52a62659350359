"""The life of a rating: its states, what may follow what, and a step as a fact.

    asking -> answered | unanswered                                           (stay, transfer)
    scheduled -> dialling -> asking -> answered | unanswered                  (call)
    scheduled -> suppressed | expired | cancelled;  dialling -> not_reached, or scheduled again

A rating call is dialled behind a fence in Asterisk, like a callback: a client is never dialled twice for it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.outgoing.ledger_row import LedgerRow


class Mode(StrEnum):
    """How the client is asked."""

    STAY = "stay"
    TRANSFER = "transfer"
    CALL = "call"


class RatingState(StrEnum):
    SCHEDULED = "scheduled"
    DIALLING = "dialling"
    ASKING = "asking"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    NOT_REACHED = "not_reached"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ALLOWED: dict[RatingState, frozenset[RatingState]] = {
    RatingState.SCHEDULED: frozenset(
        {
            RatingState.DIALLING,
            RatingState.ASKING,
            RatingState.SUPPRESSED,
            RatingState.CANCELLED,
            RatingState.EXPIRED,
            RatingState.NOT_REACHED,
        }
    ),
    RatingState.DIALLING: frozenset(
        {RatingState.SCHEDULED, RatingState.ASKING, RatingState.NOT_REACHED, RatingState.UNANSWERED}
    ),
    RatingState.ASKING: frozenset({RatingState.ANSWERED, RatingState.UNANSWERED}),
    # The key and the client's hang-up came at the same time: the key counts.
    RatingState.UNANSWERED: frozenset({RatingState.ANSWERED}),
    RatingState.ANSWERED: frozenset(),
    RatingState.NOT_REACHED: frozenset({RatingState.ASKING}),
    RatingState.SUPPRESSED: frozenset(),
    RatingState.CANCELLED: frozenset({RatingState.ASKING}),
    RatingState.EXPIRED: frozenset({RatingState.ASKING}),
}
OPEN = frozenset({RatingState.SCHEDULED, RatingState.DIALLING})
ASKED = frozenset({RatingState.ASKING, RatingState.ANSWERED, RatingState.UNANSWERED})


class RatingRow(LedgerRow, frozen=True, kw_only=True):
    """A rating in the ledger."""

    call_id: str
    mode: Mode
    state: RatingState
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
    """A rating has a new state or a new answer, which is on disk. Published without the number."""

    rating: RatingRow


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
    """A complaint came onto the list, and is on disk."""

    complaint: Complaint

"""A standard profile: the numbers of the rules for a line.

Every default comes from the hotline's written standard; the source is named beside each field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Profile(BaseModel):
    """The numbers a line is held to. Durations are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    answer_target_s: Seconds = Field(4, description="An answer this quick is on target (standard 4.1).")
    answer_limit_s: Seconds = Field(
        5, description="The operator answers within this of the first ring of their phone (standard 4.1)."
    )
    greeting_within_s: Seconds = Field(2, description="The operator's first word within this of the answer.")
    greeting_s: Seconds = Field(
        3,
        description="The greeting is over once the operator has spoken this long in all;"
        " a client who leaves before is an early drop.",
    )
    silence_limit_s: Seconds = Field(
        10, gt=0, description="A pause in which nobody talks and nobody is on hold."
    )
    hold_limit_s: Seconds = Field(120, gt=0, description="Back to the client within this.")
    hold_limit_by_grade_s: dict[str, Seconds] = Field(
        default_factory=lambda: {"senior": 180.0},
        description="Another hold limit for operators of a grade.",
    )
    talk_limit_s: Seconds = Field(900, gt=0, description="A consultation lasts no longer.")
    max_transfers: int = Field(1, ge=0, le=100, description="Transfers per contact (standard 4.10).")
    transfer_needs_ticket: bool = Field(True, description="A transfer only with a ticket (tag ticket).")
    registered_within_s: Seconds = Field(
        300, gt=0, description="The call is registered in the CRM (tag registered) within this of its end."
    )
    interruptions_limit: int | None = Field(
        None, ge=0, description="Interruptions by the operator that break the rule; unset: only counted."
    )
    interruption_min_s: Seconds = Field(
        0.5, description="Speech over the other side's counts as an interruption from this length on."
    )
    operator_hangs_up_last: bool = Field(True, description="The client hangs up first.")
    short_abandon_s: Seconds = Field(
        5, description="A client who leaves the queue sooner is a short abandon."
    )
    abnormal_causes: frozenset[int] = Field(
        frozenset({27, 38, 41, 42, 44, 47, 102, 111}),
        description="Q.850 causes that say the connection broke. 0, 16, 31 and 127 prove nothing.",
    )
    drop_on_bye: frozenset[Literal["operator_mid_word", "client_on_hold"]] = Field(
        frozenset(),
        description="Speech heuristics by which a plain hang-up by the client counts as a drop."
        " Off by default: a farewell sounds the same.",
    )
    ring_alert: bool = Field(True, description="Alert while the phone still rings past answer_limit_s.")
    rating: Literal["off", "stay", "transfer", "call"] = Field(
        "off",
        description="How a client is asked for a rating: stay (the operator leaves, the client stays),"
        " transfer (the operator transfers the client) or call (called back later).",
    )
    rating_share: float = Field(1.0, ge=0, le=1, description="The share of calls that is asked.")
    rating_quiet_days: float = Field(
        30, ge=0, le=3650, description="A client who was asked is not asked again for so long."
    )
    rating_after_callback: bool = Field(False, description="Ask at the end of a callback, too.")
    rating_delay_min: float = Field(5, ge=0, le=10_080, description="call: how long after the talk.")
    rating_question: bool = Field(
        False, description="Ask as well whether the question is settled (1 yes, 2 no)."
    )
    rating_comment: bool = Field(False, description="Let the client leave a spoken comment.")
    complaint_score: int = Field(
        2,
        ge=0,
        le=5,
        description="A score at or under it reaches a supervisor (standard: complaint_escalated).",
    )

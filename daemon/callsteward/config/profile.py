"""A standard profile: the numbers of the rules for a line.

Every default comes from the hotline's written standard; each field names its section there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Profile(BaseModel):
    """The numbers a line is held to. Durations are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    answer_target_s: Seconds = Field(
        4, description="Aim: an operator answers within this time (standard 4.1)."
    )
    answer_limit_s: Seconds = Field(
        5,
        description="Limit: an operator answers within this time of the first ring of their phone"
        " (standard 4.1).",
    )
    greeting_within_s: Seconds = Field(
        2, description="The operator's first word is heard within this time of the answer."
    )
    greeting_s: Seconds = Field(
        3,
        description="The greeting is over once the operator has spoken for this long in all; a client"
        " who leaves before that is an early drop.",
    )
    silence_limit_s: Seconds = Field(
        10,
        gt=0,
        description="The shortest pause, with nobody talking and nobody on hold, that counts as a silence.",
    )
    hold_limit_s: Seconds = Field(
        120, gt=0, description="The longest hold: the operator is back with the client within this time."
    )
    hold_limit_by_grade_s: dict[str, Seconds] = Field(
        default_factory=lambda: {"senior": 180.0},
        description="Hold limits for operators of a grade, in place of hold_limit_s.",
    )
    talk_limit_s: Seconds = Field(900, gt=0, description="The longest talk.")
    max_transfers: int = Field(1, ge=0, le=100, description="The most transfers per call (standard 4.10).")
    transfer_needs_ticket: bool = Field(True, description="Each transfer needs a ticket (tag ticket).")
    registered_within_s: Seconds = Field(
        300,
        gt=0,
        description="The call is registered in the CRM (tag registered) within this time of the talk's end.",
    )
    interruptions_limit: int | None = Field(
        None,
        ge=0,
        description="Interruptions by the operator from which the rule is broken; unset: they are only"
        " counted.",
    )
    interruption_min_s: Seconds = Field(
        0.5, description="An interruption counts when both sides speak at once for at least this long."
    )
    operator_hangs_up_last: bool = Field(
        True, description="The rule: the client hangs up first, not the operator."
    )
    short_abandon_s: Seconds = Field(
        5, description="A client who leaves within this time without an answer is a short abandon."
    )
    abnormal_causes: frozenset[int] = Field(
        frozenset({27, 38, 41, 42, 44, 47, 102, 111}),
        description="Q.850 causes that prove a broken connection. 0, 16, 31 and 127 prove nothing.",
    )
    drop_on_bye: frozenset[Literal["operator_mid_word", "client_on_hold"]] = Field(
        frozenset(),
        description="Speech heuristics: with these signs a plain hang-up by the client counts as a"
        " drop. Off by default, since a farewell sounds the same.",
    )
    ring_alert: bool = Field(
        True, description="Alert as soon as a phone has rung longer than answer_limit_s."
    )
    wrap_up_s: Seconds = Field(
        0,
        description="For this long after a talk no queue rings the operator, who is in wrap-up; 0: there is"
        " none. It needs codes = true under [statuses].",
    )
    away_after_unanswered: int = Field(
        0,
        ge=0,
        le=100,
        description="An operator whose phone the line's queues rang this often in a row without an answer is"
        " away until they say that they are back; 0: never. It needs codes = true under [statuses].",
    )
    rating: Literal["off", "stay", "transfer", "call"] = Field(
        "off",
        description="How a client is asked for a rating. stay: the operator leaves and the client"
        " stays. transfer: the operator transfers the client. call: the client is called"
        " later.",
    )
    rating_share: float = Field(1.0, ge=0, le=1, description="The share of calls whose client is asked.")
    rating_quiet_days: float = Field(
        30, ge=0, le=3650, description="Days for which a client who was asked is not asked again."
    )
    rating_after_callback: bool = Field(False, description="Ask after a callback, too.")
    rating_delay_min: float = Field(
        5, ge=0, le=10_080, description="call: minutes from the talk's end to the rating call."
    )
    rating_question: bool = Field(
        False, description="A second question: is the matter settled? (1 yes, 2 no)"
    )
    rating_comment: bool = Field(False, description="The client may leave a spoken comment.")
    complaint_score: int = Field(
        2,
        ge=0,
        le=5,
        description="A score of this or lower is a complaint and reaches a supervisor (rule"
        " complaint_escalated).",
    )

"""Settings of operators' statuses."""

from __future__ import annotations

from pydantic import Field

from callsteward.config.section import Duration, Member, PauseReason, PauseReasonKey, QueueName, Section


class StatusesSettings(Section):
    """Operators' statuses: what phones and queues say of them."""

    enabled: bool = Field(
        True, description="false: phones and pauses are not followed; an idle operator's status is unknown."
    )
    queues: tuple[QueueName, ...] = Field(
        (), description="Queues in which operators are members, beside those of the [[lines]]."
    )
    members: tuple[Member, ...] = Field(
        ("{phone}", "Local/{operator}@from-queue/n"),
        description="How queues name their members, as `queue show` has it: {phone} is the operator's phone,"
        " such as PJSIP/101, {operator} their name. A member that was rung is known without it.",
    )
    codes: bool = Field(
        False,
        description="true: operators are paused, and put back, by codes and commands. It needs"
        " dialplan/callsteward-statuses.conf.",
    )
    reasons: dict[PauseReasonKey, PauseReason] = Field(
        default_factory=dict,
        description="Reasons of a pause, by the digit that follows the code *51; a command names the reason.",
    )
    pause_limits_s: dict[str, Duration] = Field(
        default_factory=dict,
        description="Alert when an operator is paused longer than this, by the pause's reason; `*` is for"
        " every other reason, and for pauses whose reason is not known.",
    )
    nobody_free_s: Duration | None = Field(
        None,
        description="Alert when clients wait on a line and none of its operators was free for this long;"
        " unset: no alert.",
    )
    everybody_away_s: Duration | None = Field(
        None,
        description="Alert when all operators of a line were paused, away or unreachable for this long;"
        " unset: no alert.",
    )
    reread_s: Duration = Field(
        300, description="How often phones and pauses are read again, beside the events about them."
    )

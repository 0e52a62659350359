"""Settings of operators' statuses."""

from __future__ import annotations

from pydantic import Field

from callsteward.config.section import Duration, Member, QueueName, Section


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
    reread_s: Duration = Field(
        300, description="How often phones and pauses are read again, beside the events about them."
    )

"""A status that an operator was given, from being asked for to its end."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from callsteward.record.facts import OperatorStatus


class GivenState(StrEnum):
    """How far a given status is. Each is written down before what it allows is done.

    `asked`: the members may be paused, in whole or in part. `paused`: Asterisk confirmed it. `undoing`: they
    may be put back already. `over`.
    """

    ASKED = "asked"
    PAUSED = "paused"
    UNDOING = "undoing"
    OVER = "over"


class GivenMember(msgspec.Struct, frozen=True):
    """A member of a queue, as `queue show` has it."""

    queue: str
    interface: str


class GivenStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger. `token` marks in Asterisk's database which pauses are this one's."""

    id: int
    operator: str
    status: OperatorStatus
    reason: str
    given_by: str
    token: str
    members: tuple[GivenMember, ...]
    state: GivenState
    asked_at_ms: int
    until_ms: int | None
    ended_by: str = ""

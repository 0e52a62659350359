"""The groups of calls that the measures sum over, for a line and for an operator. Pure.

A record describes a call as a whole. If several operators served it, nobody can be given their part of its
talk, so such a call counts as `shared` in each one's row, and its talk in nobody's own sums.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from callsteward.callback.states import CallbackState
from callsteward.record.call import AttemptResult, CallRecord, Direction, Outcome, TransferResult

ANSWERED = frozenset({Outcome.COMPLETED, Outcome.EARLY_DROP, Outcome.MID_DIALOGUE_DROP})
ABANDONED = frozenset({Outcome.ABANDONED, Outcome.SHORT_ABANDONED})
_TO_CLIENTS = frozenset({Direction.OUTBOUND, Direction.CALLBACK})


class Contact(msgspec.Struct, frozen=True, gc=False):
    """A stored call and the state of its callback in the ledger; None: the ledger has none."""

    record: CallRecord
    callback: CallbackState | None = None
    at_ms: int = 0
    """When the call arrived, ms since 1970."""


class Group(Enum):
    """The calls a measure sums over."""

    OFFERED = "offered"
    ANSWERED = "answered"
    ABANDONED = "abandoned"
    SERVED = "served"
    """Answered, and the row's own: for an operator the calls that no other operator served."""
    SHARED = "shared"
    OWN = "own"
    """Any direction; for an operator the calls in which they had the client last."""
    OUTBOUND = "outbound"


def of_line(contact: Contact) -> frozenset[Group]:
    """The groups a call is in, in its line's row."""
    record = contact.record
    if record.direction is Direction.INTERNAL:
        return frozenset()
    groups = {Group.OWN}
    if record.direction is Direction.INBOUND:
        groups.add(Group.OFFERED)
        if record.outcome in ANSWERED:
            groups |= {Group.ANSWERED, Group.SERVED}
        elif record.outcome in ABANDONED:
            groups.add(Group.ABANDONED)
    elif record.direction in _TO_CLIENTS:
        groups.add(Group.OUTBOUND)
    return frozenset(groups)


def of_operator(contact: Contact, operator: str) -> frozenset[Group]:
    """The groups a call is in, in an operator's row."""
    record = contact.record
    if record.direction is Direction.INTERNAL:
        return frozenset()
    groups: set[Group] = set()
    own = record.operator == operator
    if own:
        groups.add(Group.OWN)
    if record.direction is Direction.INBOUND:
        rang = record.rang(operator) > 0
        answered = operator in served_by(record)
        if rang or answered:
            groups.add(Group.OFFERED)
        if answered:
            groups.add(Group.ANSWERED)
            groups.add(Group.SHARED if len(served_by(record)) > 1 else Group.SERVED)
        elif rang and record.outcome in ABANDONED:
            groups.add(Group.ABANDONED)
    elif own and record.direction in _TO_CLIENTS and record.outcome in ANSWERED:
        groups.add(Group.OUTBOUND)
    return frozenset(groups)


def operators_of(record: CallRecord) -> frozenset[str]:
    """The operators at whose phone the call rang, or who served it."""
    if record.direction is Direction.INTERNAL:
        return frozenset()
    left_out = {item.operator for item in record.attempts_left_out if item.operator is not None}
    return served_by(record).union(left_out, (attempt.operator for attempt in record.attempts))


def served_by(record: CallRecord) -> frozenset[str]:
    """The operators who had the client, as far as the record says.

    A colleague who was asked and not given the client answers a phone too: such a call counts as shared.
    """
    if record.outcome not in ANSWERED:
        return frozenset()
    people = {attempt.operator for attempt in record.attempts if attempt.result is AttemptResult.ANSWERED}
    people.update(
        item.operator
        for item in record.attempts_left_out
        if item.operator is not None and item.result is AttemptResult.ANSWERED
    )
    people.update(
        transfer.by
        for transfer in record.transfers
        if transfer.by is not None and transfer.result is TransferResult.COMPLETED
    )
    if record.operator is not None:
        people.add(record.operator)
    return frozenset(people)

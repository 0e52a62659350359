"""The records of one run held against the phones and Asterisk's books. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from callsteward.record.call import CallRecord, Party
from tests.judge import books
from tests.judge.truth import epoch

UNKNOWN = Party.UNKNOWN.value
BOOKS = "by Asterisk's books: "


class Placed(msgspec.Struct, frozen=True):
    """A call as the phones know it: its direction, and who ended it (network: a phone vanished).

    `or_party`: who may have been first as well, where two were at the same moment.
    """

    direction: str
    party: str
    or_party: str = ""

    @property
    def parties(self) -> set[str]:
        return {self.party, self.or_party} - {""}


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """The results of the calls of one run. `errors`: the mistakes, in words.

    `rating` and `let_go_s`: where the client was in the menu, what the record says of the rating and how soon
    after the fault, or the key, they were thanked and their call over.
    """

    placed: int
    records: int
    lost: int = 0
    duplicates: int = 0
    wrong: int = 0
    unobserved: int = 0
    unpublished: int = 0
    errors: list[str] = []
    rating: str = ""
    let_go_s: float | None = None


def count(
    placed: Sequence[Placed],
    records: Sequence[CallRecord],
    published: Iterable[Mapping[str, Any]],
    *,
    asterisk: books.Books | None,
    observed: bool = False,
) -> Count:
    """`published`: the bodies on calls/+/ended. `asterisk`: its books, None where it died and wrote none.

    `observed`: nothing may have gone unobserved.
    """
    lost = duplicates = wrong = 0
    errors: list[str] = []
    for call in placed:
        found = [record for record in records if record.direction.value == call.direction]
        if not found:
            lost += 1
            errors.append(f"the {call.direction} call has no record")
            continue
        duplicates += len(found) - 1
        if len(found) > 1:
            errors.append(f"{len(found)} records of one {call.direction} call")
        for record in found:
            mistakes = _mistakes(record, call, asterisk)
            if observed and not record.complete:
                mistakes.append(f"{record.call_id} is incomplete, and all was there to be observed")
            wrong += bool(mistakes)
            errors += mistakes
    strange = [item for item in records if item.direction.value not in {call.direction for call in placed}]
    duplicates += len(strange)
    errors += [f"a record of a {item.direction} call nobody made" for item in strange]
    names: dict[str, set[str]] = {}
    for body in published:
        names.setdefault(body["call_id"], set()).add(body["message_id"])
    twice = [call for call, messages in names.items() if len(messages) > 1]
    errors += [f"{call} was published under two names" for call in twice]
    return Count(
        placed=len(placed),
        records=len(records),
        lost=lost,
        duplicates=duplicates + len(twice),
        wrong=wrong,
        unobserved=sum(not record.complete for record in records),
        unpublished=sum(record.call_id not in names for record in records),
        errors=errors,
    )


def _mistakes(record: CallRecord, call: Placed, asterisk: books.Books | None) -> list[str]:
    first = record.hangup.first.value
    if not record.complete:
        errors = [] if record.unobserved else [f"{record.call_id} is incomplete and names no span"]
        # A value that was not observed may be unknown; a value that is given must be right.
        return errors + ([] if first in call.parties | {UNKNOWN} else [_party(record, call)])
    errors = [] if first in call.parties else [_party(record, call)]
    if asterisk is not None and call.direction == "inbound":
        errors += [f"{BOOKS}{error}" for error in books.errors(record, asterisk)]
    return errors


def _party(record: CallRecord, call: Placed) -> str:
    whole = "complete" if record.complete else "incomplete"
    return f"{whole} {call.direction} record: hung up by {record.hangup.first}, it was {call.party}"


def slowest_s(asterisk: books.Books) -> float:
    """The longest Asterisk took from a channel's answer to its bridge: its CDR counts that as talk."""
    answered: dict[str, float] = {}
    slowest = 0.0
    for row in asterisk.cel:
        if row.event == "ANSWER":
            answered[row.channel] = row.time
        elif row.event == "BRIDGE_ENTER" and row.channel in answered:
            slowest = max(slowest, row.time - answered.pop(row.channel))
    return slowest


def of_this_run(records: Iterable[CallRecord], began: float) -> list[CallRecord]:
    """The records of this run, without those of events that Asterisk had kept from the run before."""
    return [item for item in records if item.started_at is None or epoch(item.started_at) >= began]

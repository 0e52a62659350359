"""The calls whose clients could be asked for a rating, as they are counted in the sums. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from callsteward.record.call import CallRecord, Direction

_ASKED_AFTER = frozenset({"answered", "unanswered", "scheduled"})
# A call among colleagues, and the rating call itself.
_NO_CLIENTS_CALL = frozenset({Direction.INTERNAL, Direction.RATING})


class Rated(msgspec.Struct, array_like=True):
    """The counts of one operator's calls on one line.

    `calls`: connected ones. `scheduled`: the ids of those whose client was to be called for the rating, of
    which only the ledger knows more. All others are in `not_asked`, by reason, or in `asked`; those who
    answered are in `scores`, too.
    """

    calls: int = 0
    asked: int = 0
    scores: dict[int, int] = {}
    not_asked: dict[str, int] = {}
    scheduled: list[str] = []


RatedSums = dict[str, dict[str, Rated]]
"""By line, and by operator there: empty for a call without one."""


def add_call(sums: RatedSums, record: CallRecord) -> None:
    """Count a call, if its client could be asked for a rating."""
    rating = record.rating
    asked_after = record.direction is Direction.INBOUND or rating.status in _ASKED_AFTER
    if record.answered_at is None or not asked_after or record.direction in _NO_CLIENTS_CALL:
        return
    counts = sums.setdefault(record.line, {}).setdefault(record.operator or "", Rated())
    counts.calls += 1
    if rating.status == "scheduled":
        counts.scheduled.append(record.call_id)
    elif rating.status == "not_asked":
        counts.not_asked[rating.reason] = counts.not_asked.get(rating.reason, 0) + 1
    else:
        counts.asked += 1
        if rating.score is not None:
            counts.scores[rating.score] = counts.scores.get(rating.score, 0) + 1


def add_sums(sums: RatedSums, more: Mapping[str, Mapping[str, Rated]]) -> None:
    """Add the calls of another part of the time."""
    for line, by_operator in more.items():
        for operator, counts in by_operator.items():
            whole = sums.setdefault(line, {}).setdefault(operator, Rated())
            whole.calls += counts.calls
            whole.asked += counts.asked
            whole.scheduled.extend(counts.scheduled)
            for score, count in counts.scores.items():
                whole.scores[score] = whole.scores.get(score, 0) + count
            for reason, count in counts.not_asked.items():
                whole.not_asked[reason] = whole.not_asked.get(reason, 0) + count

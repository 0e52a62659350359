"""The report on ratings: sums by operator or line, from the records and the ledger. Pure.

Rows have counts and sums, so that rows of several periods can be added up; mean and shares follow from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from callsteward.rating.menu import HIGHEST, LOWEST
from callsteward.rating.states import RatingRow, RatingState
from callsteward.record.call import CallRecord
from callsteward.record.rated import Rated, RatedSums, add_call

Grouping = Literal["operator", "line"]
NOBODY = "-"


class RatingSums(msgspec.Struct, kw_only=True):
    """One operator or line. `calls`: inbound talks. Shares are from 0 to 1, null if their whole is 0."""

    key: str
    calls: int = 0
    asked: int = 0
    """Clients who heard the menu; a rating call counts once the client has answered it."""
    answered: int = 0
    score_sum: int = 0
    scores: dict[int, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(range(LOWEST, HIGHEST + 1), 0)
    )
    not_asked: dict[str, int] = msgspec.field(default_factory=dict)
    """Clients who were not asked, by rule, the commonest first."""
    waiting: int = 0
    """Rating calls that are still to be made."""

    def scored(self, score: int, count: int) -> None:
        """Add `count` answers with this score."""
        self.answered += count
        self.score_sum += score * count
        self.scores[score] = self.scores.get(score, 0) + count

    @property
    def mean(self) -> float | None:
        return round(self.score_sum / self.answered, 3) if self.answered else None

    @property
    def share_asked(self) -> float | None:
        return round(self.asked / self.calls, 4) if self.calls else None

    @property
    def share_answered(self) -> float | None:
        return round(self.answered / self.asked, 4) if self.asked else None


class RatingTally:
    """Takes records one by one, or sums over them, so that the calls of a year need no memory.

    `ratings` has those of rating calls that are made after the call; the others are in records and sums.
    """

    def __init__(self, by: Grouping, ratings: Iterable[RatingRow]) -> None:
        self._by = by
        self._ratings: Mapping[str, RatingRow] = {rating.call_id: rating for rating in ratings}
        self._rows: dict[str, RatingSums] = {}
        self._reasons: dict[str, Counter[str]] = {}

    def add(self, record: CallRecord) -> None:
        """Count a call, if its client could be asked for a rating."""
        one: RatedSums = {}
        add_call(one, record)
        self.add_sums(one)

    def add_sums(self, sums: RatedSums) -> None:
        """Count the calls of these sums."""
        for name, by_operator in sums.items():
            for operator, counts in by_operator.items():
                self._add((operator if self._by == "operator" else name) or NOBODY, counts)

    def _add(self, key: str, counts: Rated) -> None:
        row = self._rows.setdefault(key, RatingSums(key=key))
        reasons = self._reasons.setdefault(key, Counter())
        row.calls += counts.calls
        row.asked += counts.asked
        reasons.update(counts.not_asked)
        for score, count in counts.scores.items():
            row.scored(score, count)
        # The record was published before the client was called.
        for call_id in counts.scheduled:
            status, reason, later = _since(self._ratings.get(call_id))
            if status == "waiting":
                row.waiting += 1
            elif status == "not_asked":
                reasons[reason] += 1
            else:
                row.asked += 1
                if later is not None:
                    row.scored(later, 1)

    def rows(self) -> list[RatingSums]:
        """A row for each operator or line, by name; if there are several, their sum comes last."""
        return with_total(self.each())

    def each(self, before: str = "") -> list[RatingSums]:
        """A row for each operator or line, by name. `before`: what stands before each name."""
        rows = sorted(self._rows.values(), key=lambda row: row.key)
        for row in rows:
            row.not_asked = _commonest(self._reasons[row.key])
            row.key = before + row.key
        return rows


def with_total(rows: list[RatingSums]) -> list[RatingSums]:
    """The rows; if there are several, their sum comes last."""
    return rows if len(rows) < 2 else [*rows, total(rows)]


def total(rows: Iterable[RatingSums]) -> RatingSums:
    """The rows added up."""
    whole = RatingSums(key="all")
    reasons: Counter[str] = Counter()
    for row in rows:
        whole.calls += row.calls
        whole.asked += row.asked
        whole.answered += row.answered
        whole.score_sum += row.score_sum
        whole.waiting += row.waiting
        for score, count in row.scores.items():
            whole.scores[score] = whole.scores.get(score, 0) + count
        reasons.update(row.not_asked)
    whole.not_asked = _commonest(reasons)
    return whole


def _commonest(reasons: Counter[str]) -> dict[str, int]:
    """The commonest first; of those that are as common, by name."""
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _since(rating: RatingRow | None) -> tuple[str, str, int | None]:
    """The status, reason and score of a rating call by now."""
    if rating is None or rating.state in {RatingState.SCHEDULED, RatingState.DIALLING}:
        return "waiting", "", None
    if rating.state in {RatingState.ANSWERED, RatingState.UNANSWERED, RatingState.ASKING}:
        return "asked", rating.reason, rating.score
    return "not_asked", rating.reason or rating.state.value, None

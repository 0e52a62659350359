"""The rows of one interval, summed from the stored calls. Pure: the same calls give the same rows.

The caller chooses the calls: those that arrived in the interval.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import msgspec

from callsteward.intervals import scope
from callsteward.intervals.measures import Measure, Unit, wait_ms
from callsteward.intervals.row import Value
from callsteward.intervals.scope import Contact, Group
from callsteward.intervals.service_level import (
    Formula,
    Waits,
    abandoned_key,
    answered_key,
    denominator_key,
    numerator_key,
    share_key,
    shares_row,
)
from callsteward.record.call import Outcome

Row = dict[str, Value]
# Their order is part of what is stored: a new one goes to the end.
_GROUPS = (
    Group.OFFERED,
    Group.ANSWERED,
    Group.ABANDONED,
    Group.SERVED,
    Group.SHARED,
    Group.OWN,
    Group.OUTBOUND,
)


class KeptSums(msgspec.Struct, array_like=True):
    """The sums of one line or operator over some calls, as they are stored.

    `groups` has a bit for each group that had a call; `totals` are those of the measures, in their order.
    `answered` and `abandoned`: how many calls waited for how many seconds, rounded up.
    """

    groups: int
    totals: list[int | None]
    answered: dict[int, int]
    abandoned: dict[int, int]
    short: int


class Sums:
    """One row being summed, call after call: a busy interval's calls need not be in memory at once."""

    def __init__(
        self, measures: Sequence[Measure], thresholds_s: Sequence[int], operator: str | None = None
    ) -> None:
        self._measures = measures
        self._thresholds_s = thresholds_s
        self._operator = operator
        self._groups: set[Group] = set()
        self._totals: list[int | None] = [None] * len(measures)
        self._waits = Waits(thresholds_s)
        self.empty = True
        """Whether no call was added."""

    def add(self, contact: Contact) -> None:
        """Add one call that counts for the row."""
        self.empty = False
        operator = self._operator
        groups = scope.of_line(contact) if operator is None else scope.of_operator(contact, operator)
        self._groups |= groups
        for number, measure in enumerate(self._measures):
            if measure.group in groups and (value := measure.adds(contact, operator)) is not None:
                self._totals[number] = (self._totals[number] or 0) + value
        for group in (Group.ANSWERED, Group.ABANDONED):
            if group in groups:
                short = contact.record.outcome is Outcome.SHORT_ABANDONED
                self._waits.add(group, wait_ms(contact), short=short)

    def kept(self) -> KeptSums:
        """All that was added, to be kept."""
        return KeptSums(
            groups=sum(1 << number for number, group in enumerate(_GROUPS) if group in self._groups),
            totals=list(self._totals),
            answered=dict(self._waits.answered),
            abandoned=dict(self._waits.abandoned),
            short=self._waits.short,
        )

    def add_kept(self, kept: KeptSums) -> None:
        """Add the calls of which these sums were made."""
        self.empty = False
        self._groups.update(group for number, group in enumerate(_GROUPS) if kept.groups >> number & 1)
        self._totals = [
            new if old is None else old if new is None else old + new
            for old, new in zip(self._totals, kept.totals, strict=True)
        ]
        self._waits.add_counts(kept.answered, kept.abandoned, kept.short)

    def row(self) -> Row:
        """The sums: zeros without calls, null if there were calls and none showed the value."""
        row: Row = {}
        for measure, total in zip(self._measures, self._totals, strict=True):
            if total is None:
                row[measure.name] = None if measure.group in self._groups else _shown(measure, 0)
            else:
                row[measure.name] = _shown(measure, total)
        row |= self._waits.denominators_row()
        row |= self._waits.thresholds_row()
        row |= self._waits.numerators_row()
        return row | shares_row(row, self._thresholds_s)


def unobserved_row(measures: Iterable[Measure], thresholds_s: Sequence[int]) -> Row:
    """The row of an interval that nobody watched and of which no call is known: every value is null."""
    return dict.fromkeys(keys(measures, thresholds_s))


def keys(measures: Iterable[Measure], thresholds_s: Sequence[int]) -> list[str]:
    """The keys of a row, in order; those that depend on a threshold are at the end."""
    return [
        *(measure.name for measure in measures),
        *(denominator_key(formula) for formula in Formula),
        *(key(threshold_s) for key in (answered_key, abandoned_key) for threshold_s in thresholds_s),
        *(numerator_key(formula, threshold_s) for formula in Formula for threshold_s in thresholds_s),
        *(share_key(formula, threshold_s) for formula in Formula for threshold_s in thresholds_s),
    ]


class Concurrency:
    """The most spans [from, to) that share a moment of [start_ms, end_ms)."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_ms = start_ms
        self._end_ms = end_ms
        # Moments in ms, doubled: an end is even, a beginning odd. Of two at one moment the end comes first.
        self._steps = array("q")

    def add(self, begins_ms: int, ends_ms: int) -> None:
        begins_ms, ends_ms = max(begins_ms, self._start_ms), min(ends_ms, self._end_ms)
        if begins_ms < ends_ms:
            self._steps.extend((2 * begins_ms + 1, 2 * ends_ms))

    def most(self) -> int:
        most = now = 0
        for step in sorted(self._steps):
            now += 1 if step % 2 else -1
            most = max(most, now)
        return most


def _shown(measure: Measure, total: int) -> Value:
    return total / 1000 if measure.unit is Unit.SECONDS else total

"""The rows of one interval, summed from the stored calls. Pure: the same calls give the same rows.

The caller chooses the calls: those that arrived in the interval.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import msgspec

from callsteward.intervals import scope, service_level
from callsteward.intervals.measures import Measure, Unit, wait_ms
from callsteward.intervals.row import Value
from callsteward.intervals.scope import Contact, Group
from callsteward.intervals.service_level import Waits, levels
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

    def copy(self) -> KeptSums:
        """The same, to be added to."""
        return KeptSums(self.groups, list(self.totals), dict(self.answered), dict(self.abandoned), self.short)

    def add(self, more: KeptSums) -> None:
        """Add other calls."""
        self.groups |= more.groups
        self.totals = [
            new if old is None else old if new is None else old + new
            for old, new in zip(self.totals, more.totals, strict=True)
        ]
        for counts, others in ((self.answered, more.answered), (self.abandoned, more.abandoned)):
            for seconds, count in others.items():
                counts[seconds] = counts.get(seconds, 0) + count
        self.short += more.short


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
        self._waits = Waits()
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

    def row(self) -> Row:
        """The sums: zeros without calls, null if there were calls and none showed the value."""
        return RowForm(self._measures, self._thresholds_s).row(self.kept())


class RowForm:
    """The rows of lines, or those of operators: made once for many of them."""

    def __init__(self, measures: Sequence[Measure], thresholds_s: Sequence[int]) -> None:
        self._thresholds_s = thresholds_s
        self._keys = keys(measures, thresholds_s)
        self._measures = [
            (1 << _GROUPS.index(measure.group), measure.unit is Unit.SECONDS) for measure in measures
        ]
        self.empty = self.row(KeptSums(0, [None] * len(measures), {}, {}, 0))
        """The row without a call."""
        self.unknown: Row = dict.fromkeys(self._keys)
        """The row of an interval that nobody watched and of which no call is known: every value is null."""

    def row(self, kept: KeptSums) -> Row:
        """The sums: zeros without calls, null if there were calls and none showed the value."""
        groups = kept.groups
        values = [
            (total / 1000 if seconds else total)
            if total is not None
            else None
            if groups & group
            else (0.0 if seconds else 0)
            for (group, seconds), total in zip(self._measures, kept.totals, strict=True)
        ]
        values += levels(kept.answered, kept.abandoned, kept.short, self._thresholds_s)
        return dict(zip(self._keys, values, strict=True))


def keys(measures: Iterable[Measure], thresholds_s: Sequence[int]) -> list[str]:
    """The keys of a row, in order; those that depend on a threshold are at the end."""
    return [*(measure.name for measure in measures), *service_level.keys(thresholds_s)]


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

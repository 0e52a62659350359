"""The rows of one interval, summed from the stored calls. Pure: the same calls give the same rows.

`line_row` and `operator_row` take calls that arrived in the interval; the caller has chosen them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from callsteward.calls.record import Outcome
from callsteward.intervals import scope
from callsteward.intervals.measures import LINE_MEASURES, OPERATOR_MEASURES, Measure, Unit, wait_ms
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

Value = int | float | None
Row = dict[str, Value]


def line_row(contacts: Iterable[Contact], thresholds_s: Sequence[int]) -> Row:
    """A line's sums: zeros without calls, null where there were calls and none showed the value."""
    grouped = [(contact, scope.of_line(contact)) for contact in contacts]
    return _row(grouped, LINE_MEASURES, thresholds_s, None)


def operator_row(contacts: Iterable[Contact], operator: str, thresholds_s: Sequence[int]) -> Row:
    """An operator's sums over those of the calls that they had to do with."""
    grouped = [(contact, scope.of_operator(contact, operator)) for contact in contacts]
    return _row(grouped, OPERATOR_MEASURES, thresholds_s, operator)


def unobserved_row(measures: Iterable[Measure], thresholds_s: Sequence[int]) -> Row:
    """The row of an interval that nobody watched and of which no call is known: nothing is known of it."""
    return dict.fromkeys(keys(measures, thresholds_s))


def keys(measures: Iterable[Measure], thresholds_s: Sequence[int]) -> list[str]:
    """The keys of a row, in order; those that depend on a threshold stand at the end."""
    return [
        *(measure.name for measure in measures),
        *(denominator_key(formula) for formula in Formula),
        *(key(threshold_s) for key in (answered_key, abandoned_key) for threshold_s in thresholds_s),
        *(numerator_key(formula, threshold_s) for formula in Formula for threshold_s in thresholds_s),
        *(share_key(formula, threshold_s) for formula in Formula for threshold_s in thresholds_s),
    ]


def concurrent_max(spans: Iterable[tuple[int, int]], start_ms: int, end_ms: int) -> int:
    """The most of the spans [from, to) that share a moment of [start_ms, end_ms)."""
    steps: list[tuple[int, int]] = []
    for begins, ends in spans:
        begins, ends = max(begins, start_ms), min(ends, end_ms)  # noqa: PLW2901
        if begins < ends:
            # At one moment the calls that end go before those that begin.
            steps += [(begins, 1), (ends, -1)]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def _row(
    grouped: Sequence[tuple[Contact, frozenset[Group]]],
    measures: Sequence[Measure],
    thresholds_s: Sequence[int],
    operator: str | None,
) -> Row:
    members = {
        group: [contact for contact, groups in grouped if group in groups]
        for group in {measure.group for measure in measures} | {Group.ANSWERED, Group.ABANDONED}
    }
    row: Row = {measure.name: _sum(measure, members[measure.group], operator) for measure in measures}
    waits = Waits(thresholds_s)
    for group in (Group.ANSWERED, Group.ABANDONED):
        for contact in members[group]:
            short = contact.record.outcome is Outcome.SHORT_ABANDONED
            waits.add(group, wait_ms(contact), short=short)
    row |= waits.denominators_row()
    row |= waits.thresholds_row()
    row |= waits.numerators_row()
    return row | shares_row(row, thresholds_s)


def _sum(measure: Measure, contacts: Sequence[Contact], operator: str | None) -> Value:
    shown = [value for contact in contacts if (value := measure.adds(contact, operator)) is not None]
    if contacts and not shown:
        return None
    total = int(sum(shown))
    return total / 1000 if measure.unit is Unit.SECONDS else total

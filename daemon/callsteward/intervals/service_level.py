"""The service level by each of its usual formulas, as numerators, denominators and shares. Pure.

Dashboards disagree about the right formula. Numerators and denominators can be added up over intervals and
lines; the shares (`service_level_…`) cannot, and are there for a glance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from callsteward.intervals.scope import Group


class Formula(StrEnum):
    """The formulas of the service level; T is the threshold in seconds."""

    ANSWERED_ABANDONED = "answered_abandoned"
    ANSWERED = "answered"
    ABANDONS_POSITIVE = "abandons_positive"
    SHORT_LEFT_OUT = "short_left_out"


MEANINGS = {
    Formula.ANSWERED_ABANDONED: "answered within T over answered + abandoned",
    Formula.ANSWERED: "answered within T over answered",
    Formula.ABANDONS_POSITIVE: "answered or abandoned within T over answered + abandoned",
    Formula.SHORT_LEFT_OUT: "answered within T over answered + abandoned, short abandons left out",
}


def answered_key(threshold_s: int) -> str:
    return f"answered_le_{threshold_s}"


def abandoned_key(threshold_s: int) -> str:
    return f"abandoned_le_{threshold_s}"


def denominator_key(formula: Formula) -> str:
    return f"sl_{formula.value}_den"


def numerator_key(formula: Formula, threshold_s: int) -> str:
    return f"sl_{formula.value}_num_{threshold_s}"


def share_key(formula: Formula, threshold_s: int) -> str:
    return f"service_level_{formula.value}_{threshold_s}"


class Waits:
    """The waits of answered and abandoned calls, counted by whole seconds, rounded up.

    Thresholds are whole seconds, so these counts give the exact number within any of them. A call whose wait
    nobody saw is in no numerator and no denominator: an unknown wait is not late.
    """

    def __init__(self, thresholds_s: Sequence[int]) -> None:
        self._thresholds_s = thresholds_s
        self.answered: dict[int, int] = {}
        self.abandoned: dict[int, int] = {}
        self.short = 0

    def add(self, group: Group, wait_ms: int | None, *, short: bool) -> None:
        """One call; `group` is ANSWERED or ABANDONED."""
        if wait_ms is None:
            return
        seconds = -(-wait_ms // 1000)
        counts = self.answered if group is Group.ANSWERED else self.abandoned
        counts[seconds] = counts.get(seconds, 0) + 1
        if group is not Group.ANSWERED:
            self.short += short

    def add_counts(self, answered: Mapping[int, int], abandoned: Mapping[int, int], short: int) -> None:
        """Calls that were counted before."""
        for counts, more in ((self.answered, answered), (self.abandoned, abandoned)):
            for seconds, count in more.items():
                counts[seconds] = counts.get(seconds, 0) + count
        self.short += short

    def thresholds_row(self) -> dict[str, int]:
        """`answered_le_T` and `abandoned_le_T` for each T."""
        return {
            answered_key(threshold_s): _within(self.answered, threshold_s)
            for threshold_s in self._thresholds_s
        } | {
            abandoned_key(threshold_s): _within(self.abandoned, threshold_s)
            for threshold_s in self._thresholds_s
        }

    def denominators_row(self) -> dict[str, int]:
        """`sl_FORMULA_den` for each formula."""
        return {denominator_key(formula): self._denominator(formula) for formula in Formula}

    def numerators_row(self) -> dict[str, int]:
        """`sl_FORMULA_num_T` for each formula and T."""
        return {
            numerator_key(formula, threshold_s): self._numerator(formula, threshold_s)
            for formula in Formula
            for threshold_s in self._thresholds_s
        }

    def _denominator(self, formula: Formula) -> int:
        answered, abandoned = sum(self.answered.values()), sum(self.abandoned.values())
        match formula:
            case Formula.ANSWERED:
                return answered
            case Formula.SHORT_LEFT_OUT:
                return answered + abandoned - self.short
            case _:
                return answered + abandoned

    def _numerator(self, formula: Formula, threshold_s: int) -> int:
        within = _within(self.answered, threshold_s)
        if formula is Formula.ABANDONS_POSITIVE:
            within += _within(self.abandoned, threshold_s)
        return within


def _within(counts: Mapping[int, int], threshold_s: int) -> int:
    return sum(count for seconds, count in counts.items() if seconds <= threshold_s)


def shares_row(
    row: dict[str, int | float | None], thresholds_s: Sequence[int]
) -> dict[str, int | float | None]:
    """`service_level_FORMULA_T` of a row, 0 to 1; null if its denominator is 0 or not known."""
    shares: dict[str, int | float | None] = {}
    for formula in Formula:
        below = row[denominator_key(formula)]
        for threshold_s in thresholds_s:
            above = row[numerator_key(formula, threshold_s)]
            shares[share_key(formula, threshold_s)] = (
                round(above / below, 4) if below and above is not None else None
            )
    return shares

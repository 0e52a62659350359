"""The service level by each of its usual formulas, as numerators, denominators and shares. Pure.

Dashboards disagree about the right formula. Numerators and denominators can be added up over intervals and
lines; the shares (`service_level_…`) cannot, and are there for a glance.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """The waits of answered and abandoned calls, counted against the thresholds.

    A call whose wait nobody saw is in no numerator and no denominator: an unknown wait is not late.
    """

    def __init__(self, thresholds_s: Sequence[int]) -> None:
        self._thresholds_s = thresholds_s
        self._answered = 0
        self._abandoned = 0
        self._short = 0
        self._answered_le = dict.fromkeys(thresholds_s, 0)
        self._abandoned_le = dict.fromkeys(thresholds_s, 0)

    def add(self, group: Group, wait_ms: int | None, *, short: bool) -> None:
        """One call; `group` is ANSWERED or ABANDONED."""
        if wait_ms is None:
            return
        within = self._answered_le if group is Group.ANSWERED else self._abandoned_le
        if group is Group.ANSWERED:
            self._answered += 1
        else:
            self._abandoned += 1
            self._short += short
        for threshold_s in self._thresholds_s:
            within[threshold_s] += wait_ms <= threshold_s * 1000

    def thresholds_row(self) -> dict[str, int]:
        """`answered_le_T` and `abandoned_le_T` for each T."""
        return {answered_key(threshold_s): count for threshold_s, count in self._answered_le.items()} | {
            abandoned_key(threshold_s): count for threshold_s, count in self._abandoned_le.items()
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
        match formula:
            case Formula.ANSWERED:
                return self._answered
            case Formula.SHORT_LEFT_OUT:
                return self._answered + self._abandoned - self._short
            case _:
                return self._answered + self._abandoned

    def _numerator(self, formula: Formula, threshold_s: int) -> int:
        within = self._answered_le[threshold_s]
        if formula is Formula.ABANDONS_POSITIVE:
            within += self._abandoned_le[threshold_s]
        return within


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

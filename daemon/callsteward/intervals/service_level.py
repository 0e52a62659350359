"""The service level by each of its usual formulas, as numerators, denominators and shares. Pure.

Dashboards disagree about the right formula. Numerators and denominators can be added up over intervals and
lines; the shares (`service_level_…`) cannot, and are there for a glance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import chain

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

    def __init__(self) -> None:
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


def levels(
    answered: Mapping[int, int], abandoned: Mapping[int, int], short: int, thresholds_s: Sequence[int]
) -> list[int | float | None]:
    """The values under `keys`, of calls counted by the seconds that they waited; `short` abandons among them.

    A share is from 0 to 1, None if its denominator is 0.
    """
    if not answered and not abandoned:
        count = len(thresholds_s)
        return [0] * (len(Formula) + (2 + len(Formula)) * count) + [None] * (len(Formula) * count)
    of_answered, of_all = sum(answered.values()), sum(answered.values()) + sum(abandoned.values())
    answered_in = [_within(answered, threshold_s) for threshold_s in thresholds_s]
    abandoned_in = [_within(abandoned, threshold_s) for threshold_s in thresholds_s]
    either_in = [one + other for one, other in zip(answered_in, abandoned_in, strict=True)]
    # In the order of Formula.
    below = [of_all, of_answered, of_all, of_all - short]
    above = [answered_in, answered_in, either_in, answered_in]
    shares = [
        round(counted / total, 4) if total else None
        for total, counts in zip(below, above, strict=True)
        for counted in counts
    ]
    return [*below, *answered_in, *abandoned_in, *chain.from_iterable(above), *shares]


def keys(thresholds_s: Sequence[int]) -> list[str]:
    """The keys of a row that are about waits, in order."""
    return [
        *(denominator_key(formula) for formula in Formula),
        *(key(threshold_s) for key in (answered_key, abandoned_key) for threshold_s in thresholds_s),
        *(numerator_key(formula, threshold_s) for formula in Formula for threshold_s in thresholds_s),
        *(share_key(formula, threshold_s) for formula in Formula for threshold_s in thresholds_s),
    ]


def _within(counts: Mapping[int, int], threshold_s: int) -> int:
    return sum([count for seconds, count in counts.items() if seconds <= threshold_s])

"""How fast a series rises, and how sure that is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# The memory of one second depends on the second before: only means over this long count as independent.
BLOCK_S = 10.0
_CONFIDENCE = 0.975


@dataclass(frozen=True)
class Slope:
    """A rise a minute; the true one is within `margin` of it with 95 % (inf: nothing is known)."""

    per_minute: float
    margin: float

    def surely_under(self, limit: float) -> bool:
        """True if the true slope, too, is surely under the limit."""
        return self.per_minute + self.margin < limit


def slope(series: Sequence[tuple[float, float]]) -> Slope:
    """Least squares over (seconds, value); the margin is that of a line through the means of blocks."""
    rise = statistics.linear_regression(*zip(*series, strict=True)).slope
    return Slope(60 * rise, 60 * _margin(_blocks(series)))


def _blocks(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    blocks: dict[int, list[tuple[float, float]]] = {}
    for at_s, value in series:
        blocks.setdefault(int((at_s - series[0][0]) / BLOCK_S), []).append((at_s, value))
    return [
        (statistics.fmean(at_s for at_s, _ in block), statistics.fmean(value for _, value in block))
        for block in blocks.values()
    ]


def _margin(points: Sequence[tuple[float, float]]) -> float:
    free = len(points) - 2
    if free < 1:
        return math.inf
    at, values = zip(*points, strict=True)
    line = statistics.linear_regression(at, values)
    left = sum((value - line.slope * x - line.intercept) ** 2 for x, value in points)
    middle = statistics.fmean(at)
    return _student(free) * math.sqrt(left / free / sum((x - middle) ** 2 for x in at))


def _student(free: int) -> float:
    """Student's t for the confidence, by its expansion around the normal one: good to 1 % from 4 on."""
    z = statistics.NormalDist().inv_cdf(_CONFIDENCE)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / free + second / free**2 + third / free**3

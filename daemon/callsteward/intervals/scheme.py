"""Which interval rows there are."""

from __future__ import annotations

from callsteward.config import Config
from callsteward.intervals.slot import Scheme


def scheme(config: Config, minutes: int | None = None) -> Scheme:
    """Which rows there are; `minutes` other than the configured ones for a report."""
    return Scheme(
        site=config.site.name,
        minutes=minutes or config.intervals.minutes,
        thresholds_s=config.intervals.answer_within_s,
        lines=tuple(line.name for line in config.lines) or (config.default_line,),
        operators=tuple(config.operators),
    )

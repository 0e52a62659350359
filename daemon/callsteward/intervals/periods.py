"""Days, weeks and months of a time zone: a day on which the clocks change has 23 or 25 hours. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

from callsteward.terminal.dates import start_of


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def periods(from_ms: int, to_ms: int, period: Period, zone: tzinfo) -> list[tuple[int, int]]:
    """Every whole period that overlaps [from_ms, to_ms), as [from, to) in ms. A week begins on Monday."""
    day = _first(datetime.fromtimestamp(from_ms / 1000, UTC).astimezone(zone).date(), period)
    found = []
    while (start_ms := _ms(day, zone)) < to_ms:
        day = _next(day, period)
        found.append((start_ms, _ms(day, zone)))
    return found


def _first(day: date, period: Period) -> date:
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period is Period.MONTH else day


def _next(day: date, period: Period) -> date:
    if period is Period.MONTH:
        return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if period is Period.WEEK else 1)


def _ms(day: date, zone: tzinfo) -> int:
    return round(start_of(day, zone).timestamp() * 1000)

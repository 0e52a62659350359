"""Moments and spans in the form of a record: RFC 3339 and seconds, from ms since 1970 and ms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_MILLIS: Final = tuple(f".{ms:03d}Z" for ms in range(1000))
_MINUTES: Final = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60))
_SECONDS: Final = tuple(f"{second:02d}" for second in range(60))
_dates: Final[dict[int, str]] = {}


def stamped(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, put together from cached parts: needed five times for every call."""
    second = ms // 1000
    day = second // 86_400
    date = _dates.get(day)
    if date is None:
        date = _date(day)
    return f"{date}{_MINUTES[second // 60 % 1440]}{_SECONDS[second % 60]}{_MILLIS[ms % 1000]}"


def _date(day: int) -> str:
    """The date this many days after 1970-01-01, cached."""
    if len(_dates) >= 64:
        _dates.clear()
    date = _dates[day] = datetime.fromtimestamp(day * 86_400, UTC).isoformat()[:10]
    return date


def rfc3339(ms: int | None) -> str | None:
    """The same for a moment that may not have been observed."""
    return None if ms is None else stamped(ms)


def seconds(ms: int | None) -> float | None:
    """Seconds with three decimals; a span that rounding made negative is 0."""
    if ms is None:
        return None
    return ms / 1000 if ms > 0 else 0.0

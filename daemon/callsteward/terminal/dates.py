"""Moments as people write them: a date, a day by its name, a date with a time. Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# 29.11.2026 and 29.11.2026 08:30
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T](\d{1,2}):(\d{2}))?\Z")


_FIRST, _LAST = date(1970, 1, 1), date(9000, 1, 1)


def read(text: str, now: datetime) -> date | datetime | None:
    """A date, or a moment (without an offset: of the zone of `now`); None for what is neither.

    A weekday is the last one, today included. What lies outside 1970 to 8999 no call can lie in.
    """
    found = _read(text, now)
    if found is None:
        return None
    day = found.date() if isinstance(found, datetime) else found
    return found if _FIRST <= day < _LAST else None


def _read(text: str, now: datetime) -> date | datetime | None:
    word = text.strip().lower()
    today = now.date()
    if word in {"today", "yesterday"}:
        return today - timedelta(days=word == "yesterday")
    if word == "now":
        return now
    if word in DAYS:
        return today - timedelta(days=(today.weekday() - DAYS.index(word)) % 7)
    try:
        dotted = _DOTTED.match(word)
        if dotted is not None:
            day = date(int(dotted[3]), int(dotted[2]), int(dotted[1]))
            if dotted[4] is None:
                return day
            return datetime(day.year, day.month, day.day, int(dotted[4]), int(dotted[5]), tzinfo=now.tzinfo)
        return _iso(text.strip(), now.tzinfo)
    except ValueError:
        return None


def _iso(text: str, zone: tzinfo | None) -> date | datetime:
    try:
        return date.fromisoformat(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def start_of(day: date, zone: tzinfo | None) -> datetime:
    """The first moment of a day: midnight, or where the clocks leave that out what stands in its place."""
    return datetime(day.year, day.month, day.day, tzinfo=zone)

"""The slots of the day: 15 or 30 minutes long, aligned to UTC, so daylight saving time moves none.

Pure arithmetic on milliseconds since 1970, where every quarter of an hour is a multiple of 900,000.
"""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_MS = 60_000


def slot_of(ms: int, minutes: int) -> int:
    """The start of the slot that contains a moment."""
    length = minutes * MINUTE_MS
    return ms // length * length


def slots(from_ms: int, to_ms: int, minutes: int) -> range:
    """The starts of all slots that overlap [from_ms, to_ms), in order."""
    length = minutes * MINUTE_MS
    return range(slot_of(from_ms, minutes), to_ms, length)


def topic_name(start_ms: int) -> str:
    """A slot's level in a topic, ISO 8601 basic: `20261122T0930Z`."""
    return f"{datetime.fromtimestamp(start_ms / 1000, UTC):%Y%m%dT%H%MZ}"


def iso(ms: int) -> str:
    """A slot's start or end: ISO 8601 UTC, `2026-11-22T09:30:00Z`."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"

"""A line's inbound calls since local midnight, counted from the records of calls that ended.

A call belongs to the day on which it came (`started_at` in the site's time zone), also where it ended
after midnight. Calls to clients, internal calls and callbacks are not offered calls and are left out.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec

from callsteward.record.call import CallRecord, Direction, Outcome

# 80/20, the usual target of the field: 80 % of the calls answered within 20 s.
SERVICE_LEVEL_THRESHOLD_S = 20.0


class DayCounts(msgspec.Struct):
    """Sums of one line on one day."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    """Nobody answered and the client left; short abandons are among them."""
    short_abandoned: int = 0
    in_time: int = 0
    """Answered, with wait_s no more than the threshold."""
    answered_unmeasured: int = 0
    """Answered, but nobody saw how long the client had waited."""

    @property
    def service_level(self) -> float | None:
        """Answered in time over answered and abandoned, 0 to 1; None before the first such call.

        A call whose wait was not observed is in neither number: an unknown wait does not count as late.
        """
        counted = self.answered - self.answered_unmeasured + self.abandoned
        return round(self.in_time / counted, 4) if counted else None


class Today:
    """The counts of every line, by day; days gone by are forgotten."""

    def __init__(self, zone: ZoneInfo, threshold_s: float = SERVICE_LEVEL_THRESHOLD_S) -> None:
        self._zone = zone
        self.threshold_s = threshold_s
        self._days: dict[date, dict[str, DayCounts]] = {}

    def day(self, now_ms: int) -> date:
        """The local date."""
        return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._zone).date()

    def add(self, record: CallRecord) -> None:
        """Count a call that ended."""
        moment = record.started_at or record.ended_at
        if record.direction is not Direction.INBOUND or moment is None:
            return
        day = datetime.fromisoformat(moment).astimezone(self._zone).date()
        counts = self._days.setdefault(day, {}).setdefault(record.line, DayCounts())
        counts.offered += 1
        if record.answered_at is not None:
            counts.answered += 1
            if record.wait_s is None:
                counts.answered_unmeasured += 1
            elif record.wait_s <= self.threshold_s:
                counts.in_time += 1
        elif record.outcome in {Outcome.ABANDONED, Outcome.SHORT_ABANDONED}:
            counts.abandoned += 1
            counts.short_abandoned += record.outcome is Outcome.SHORT_ABANDONED

    def counts(self, line: str, day: date) -> DayCounts:
        """A line's sums on a day, zeros where there was no call."""
        return self._days.get(day, {}).get(line) or DayCounts()

    def forget_before(self, day: date) -> None:
        for gone in [known for known in self._days if known < day]:
            del self._days[gone]

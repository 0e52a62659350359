from collections.abc import Callable
from datetime import date
from zoneinfo import ZoneInfo

from callsteward.feed.today import DayCounts, Today
from callsteward.record.call import CallRecord, Direction, Outcome

Build = Callable[..., CallRecord]
MOSCOW = ZoneInfo("Europe/Moscow")
DAY = date(2026, 11, 22)


def _counted(*records: CallRecord) -> DayCounts:
    today = Today(MOSCOW)
    for record in records:
        today.add(record)
    return today.counts("support", DAY)


def test_service_level_is_answered_in_time_over_answered_and_abandoned(record: Build) -> None:
    left = {"answered_at": None, "outcome": Outcome.ABANDONED}
    counts = _counted(
        record(wait_s=3.0),
        record(wait_s=20.0),
        record(wait_s=20.001),
        record(wait_s=40.0, **left),
        record(wait_s=1.0, answered_at=None, outcome=Outcome.SHORT_ABANDONED),
        record(wait_s=1.0, answered_at=None, outcome=Outcome.BUSY),
    )
    assert (counts.offered, counts.answered, counts.abandoned, counts.short_abandoned) == (6, 3, 2, 1)
    assert counts.service_level == 0.4


def test_without_calls_there_is_no_service_level(record: Build) -> None:
    assert _counted().service_level is None
    assert _counted(record(answered_at=None, outcome=Outcome.FAILED)).service_level is None


def test_a_wait_nobody_saw_is_neither_in_time_nor_late(record: Build) -> None:
    counts = _counted(record(wait_s=3.0), record(wait_s=None, complete=False))
    assert (counts.answered, counts.service_level) == (2, 1.0)


def test_only_inbound_calls_are_offered(record: Build) -> None:
    for direction in Direction:
        counted = _counted(record(direction=direction))
        assert counted.offered == (1 if direction is Direction.INBOUND else 0), direction


def test_a_day_begins_at_local_midnight(record: Build) -> None:
    # Moscow is three hours ahead of UTC all year.
    before = record(started_at="2026-11-21T20:59:59.999Z")
    after = record(started_at="2026-11-21T21:00:00.000Z")
    assert _counted(before).offered == 0
    assert _counted(after).offered == 1
    assert Today(MOSCOW).day(1_795_294_800_000 - 1) == date(2026, 11, 21)
    assert Today(MOSCOW).day(1_795_294_800_000) == DAY


def test_a_call_over_midnight_belongs_to_the_day_it_came(record: Build) -> None:
    late = record(started_at="2026-11-22T20:59:00.000Z", ended_at="2026-11-22T21:05:00.000Z")
    assert _counted(late).offered == 1


def test_a_call_whose_start_nobody_saw_counts_when_it_ended(record: Build) -> None:
    assert _counted(record(started_at=None)).offered == 1
    assert _counted(record(started_at=None, ended_at=None)).offered == 0


def test_lines_are_counted_apart_and_gone_days_forgotten(record: Build) -> None:
    today = Today(MOSCOW)
    today.add(record())
    assert today.counts("sales", DAY).offered == 0
    today.forget_before(DAY)
    assert today.counts("support", DAY).offered == 1
    today.forget_before(date(2026, 11, 23))
    assert today.counts("support", DAY).offered == 0

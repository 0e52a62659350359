"""Dates as people write them, and the days, weeks and months of a zone."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from callsteward.intervals.periods import Period, periods
from callsteward.terminal import dates

BERLIN = ZoneInfo("Europe/Berlin")
# A Sunday, a quarter past midnight in Berlin and still Saturday in UTC.
NOW = datetime(2026, 11, 29, 0, 15, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("today", date(2026, 11, 29)),
        ("Yesterday", date(2026, 11, 28)),
        ("sunday", date(2026, 11, 29)),
        ("monday", date(2026, 11, 23)),
        ("saturday", date(2026, 11, 28)),
        ("29.11.2026", date(2026, 11, 29)),
        ("1.2.2026", date(2026, 2, 1)),
        ("2026-11-22", date(2026, 11, 22)),
        ("29.11.2026 08:30", datetime(2026, 11, 29, 8, 30, tzinfo=BERLIN)),
        ("2026-11-22T08:30:00+03:00", datetime.fromisoformat("2026-11-22T08:30:00+03:00")),
        ("2026-11-22 08:30", datetime(2026, 11, 22, 8, 30, tzinfo=BERLIN)),
        ("now", NOW),
        *((text, None) for text in ("someday", "", "31.11.2026", "29.11.26", "2026-13-01", "29.11.2026 25:00",
                                    "0001-01-01", "9999-12-31")),
    ],
)  # fmt: skip
def test_a_date_as_people_write_it(text, found):
    assert dates.read(text, NOW) == found


def told(period: Period, zone: str, begins: str, ends: str) -> list[tuple[str, float]]:
    """Each period's start in its zone, and its hours."""
    place = ZoneInfo(zone)
    from_ms, to_ms = (
        round(datetime.fromisoformat(text).replace(tzinfo=place).timestamp() * 1000)
        for text in (begins, ends)
    )
    return [
        (datetime.fromtimestamp(start / 1000, UTC).astimezone(place).isoformat(), (end - start) / 3_600_000)
        for start, end in periods(from_ms, to_ms, period, place)
    ]


def test_a_day_on_which_the_clocks_change_is_one_day():
    assert told(Period.DAY, "Europe/Berlin", "2026-03-28", "2026-03-31") == [
        ("2026-03-28T00:00:00+01:00", 24),
        ("2026-03-29T00:00:00+01:00", 23),
        ("2026-03-30T00:00:00+02:00", 24),
    ]
    assert told(Period.DAY, "Europe/Berlin", "2026-10-25", "2026-10-26") == [
        ("2026-10-25T00:00:00+02:00", 25)
    ]
    # At midnight itself: Beirut's days begin at one o'clock then.
    assert told(Period.DAY, "Asia/Beirut", "2026-03-29T03:00", "2026-03-30")[0][1] == 23


def test_weeks_begin_on_monday_and_are_whole():
    assert told(Period.WEEK, "Europe/Berlin", "2026-03-25T12:00", "2026-03-31") == [
        ("2026-03-23T00:00:00+01:00", 167),
        ("2026-03-30T00:00:00+02:00", 168),
    ]


def test_months_are_whole():
    assert told(Period.MONTH, "Europe/Moscow", "2026-11-15", "2027-01-01T00:01") == [
        ("2026-11-01T00:00:00+03:00", 720),
        ("2026-12-01T00:00:00+03:00", 744),
        ("2027-01-01T00:00:00+03:00", 744),
    ]

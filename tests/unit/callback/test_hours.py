"""Calling hours: 09:00-20:00 where the client is, 15 minutes after the drop at any hour."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsteward.config import CallbackSettings, Config, Line, SiteSettings
from callsteward.outgoing.hours import Hours, candidate_zones, open_in_every

MOSCOW_LANDLINE = "+74951234567"
MOBILE = "+79031234567"
LONG_AGO = 0


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def allowed(number: str, at: str, *, line: str = "support", dropped: int = LONG_AGO, config=None) -> bool:
    return Hours(config or Config()).allow(number, line, dropped_ms=dropped, at_ms=ms(at))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-22T08:59:59.999+03:00", False),
        ("2026-11-22T09:00:00+03:00", True),
        ("2026-11-22T19:59:59.999+03:00", True),
        ("2026-11-22T20:00:00+03:00", False),
        ("2026-11-22T03:00:00+03:00", False),
    ],
)
def test_a_landline_is_called_in_its_own_zone(at, expected):
    assert allowed(MOSCOW_LANDLINE, at) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # 09:00 in Kaliningrad is 07:00 UTC; 20:00 in Kamchatka is 08:00 UTC.
        ("2026-11-22T06:59:00+00:00", False),
        ("2026-11-22T07:00:00+00:00", True),
        ("2026-11-22T07:59:00+00:00", True),
        ("2026-11-22T08:00:00+00:00", False),
        ("2026-11-22T12:00:00+00:00", False),
    ],
)
def test_a_mobile_is_called_when_it_is_day_in_every_zone_it_can_be_in(at, expected):
    assert len(candidate_zones(MOBILE)) == 16
    assert allowed(MOBILE, at) is expected


def test_by_configuration_the_lines_zone_counts():
    config = Config(
        lines=(Line(name="ural", timezone="Asia/Yekaterinburg"), Line(name="support")),
        callback=CallbackSettings(zones="line"),
    )
    assert allowed(MOBILE, "2026-11-22T09:30:00+05:00", line="ural", config=config)
    assert not allowed(MOBILE, "2026-11-22T09:30:00+05:00", line="support", config=config)
    assert allowed(MOBILE, "2026-11-22T19:30:00+03:00", line="support", config=config)
    assert allowed(MOBILE, "2026-11-22T19:30:00+03:00", line="another", config=config)


def test_fifteen_minutes_after_the_drop_the_hours_do_not_bind():
    dropped = ms("2026-11-22T02:00:00+03:00")
    assert allowed(MOSCOW_LANDLINE, "2026-11-22T02:15:00+03:00", dropped=dropped)
    assert not allowed(MOSCOW_LANDLINE, "2026-11-22T02:15:00.001+03:00", dropped=dropped)
    strict = Config(callback=CallbackSettings(exempt_s=0))
    assert not allowed(MOSCOW_LANDLINE, "2026-11-22T02:00:01+03:00", dropped=dropped, config=strict)


def test_a_number_without_a_known_zone_goes_by_the_lines():
    assert candidate_zones("+870773123456") == ()
    assert candidate_zones("nonsense") == ()
    assert Hours(Config(site=SiteSettings(timezone="Asia/Omsk"))).zones("+870773123456", "x") == (
        ZoneInfo("Asia/Omsk"),
    )


@pytest.mark.parametrize(
    ("day", "opens_utc"),
    [
        ("2026-03-28", "08:00"),  # Berlin, the day before summer time
        ("2026-03-29", "07:00"),  # the day itself: the night had 23 hours
        ("2026-10-24", "07:00"),
        ("2026-10-25", "08:00"),  # the night had 25 hours
    ],
)
def test_nine_is_nine_when_the_clocks_change(day, opens_utc):
    settings = CallbackSettings()
    zones = [ZoneInfo("Europe/Berlin")]
    opens = ms(f"{day}T{opens_utc}:00+00:00")
    assert open_in_every(zones, settings, opens)
    assert not open_in_every(zones, settings, opens - 1)


def test_an_hour_that_comes_twice_is_judged_by_the_wall_both_times():
    # 02:30 comes twice in Berlin on 2026-10-25.
    settings = CallbackSettings(hours_from=time(2), hours_to=time(3))
    zones = [ZoneInfo("Europe/Berlin")]
    assert open_in_every(zones, settings, ms("2026-10-25T02:30:00+02:00"))
    assert open_in_every(zones, settings, ms("2026-10-25T02:30:00+01:00"))
    # In spring it does not come at all: 01:59:59 is followed by 03:00.
    assert not open_in_every(zones, settings, ms("2026-03-29T01:00:00+00:00"))


@given(st.integers(min_value=0, max_value=4_102_444_800_000), st.sampled_from([MOBILE, MOSCOW_LANDLINE]))
def test_allowed_means_allowed_in_each_zone(at_ms, number):
    verdict = Hours(Config()).allow(number, "x", dropped_ms=at_ms - 10**9, at_ms=at_ms)
    local = [datetime.fromtimestamp(at_ms / 1000, zone).hour for zone in candidate_zones(number)]
    assert verdict is all(9 <= hour < 20 for hour in local)

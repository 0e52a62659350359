"""`check` says what the calling hours leave of the day."""

from datetime import datetime, time

import pytest

from callsteward.callback.check import calling_hours
from callsteward.config import CallbackSettings, Config, SiteSettings
from callsteward.terminal.result import Status

NOW = int(datetime.fromisoformat("2026-11-22T15:00:00+03:00").timestamp() * 1000)


def said(site: SiteSettings | None = None, **settings: object) -> tuple[Status, str]:
    config = Config(
        site=site or SiteSettings(), callback=CallbackSettings.model_validate({"enabled": True, **settings})
    )
    result = calling_hours(config, NOW)
    assert (result.mend is not None) is (result.status is Status.WARNING)
    return result.status, result.found


def test_a_russian_mobile_has_an_hour_a_day():
    assert said() == (
        Status.WARNING,
        (
            "09:00 to 20:00 in every zone a number can be in; a mobile of RU can be in 16: 10:00 to 11:00"
            " Europe/Moscow, 1 h a day; at any hour within 15 min of the drop"
        ),
    )


def test_by_the_lines_zone_it_has_the_day():
    assert said(zones="line") == (
        Status.OK,
        (
            "09:00 to 20:00 in the line's zone, or the client's own where imported;"
            " at any hour within 15 min of the drop"
        ),
    )


def test_a_country_of_one_zone_has_the_day():
    status, found = said(SiteSettings(region="AM", timezone="Asia/Yerevan"))
    assert status is Status.OK
    assert "09:00 to 20:00 in every zone a number can be in, or the client's own" in found


def test_calling_hours_that_never_come_are_reported():
    status, found = said(hours_from=time(9), hours_to=time(17), exempt_s=0)
    assert status is Status.WARNING
    assert found.endswith("can be in 16: never")


@pytest.mark.parametrize(("hours_to", "status"), [(time(23, 59), Status.WARNING), (time(23), Status.WARNING)])
def test_less_than_half_the_day_is_a_warning(hours_to, status):
    assert said(hours_from=time(9), hours_to=hours_to)[0] is status


def test_most_of_the_day_is_enough():
    assert said(
        hours_from=time(0), hours_to=time(23, 59), site=SiteSettings(region="MN", timezone="Asia/Ulaanbaatar")
    )[0] is (Status.OK)

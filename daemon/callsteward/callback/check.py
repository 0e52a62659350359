"""The hours in which clients may be called back, in words: a mobile number may have few of them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import PhoneNumberType

from callsteward.config import Config
from callsteward.outgoing.hours import candidate_zones, open_in_every
from callsteward.terminal.result import Result, ok, warning

_STEP_MIN = 15
_CHECK = "calling hours"


def calling_hours(config: Config, now_ms: int | None = None) -> Result:
    """The effect of `callback.zones` on a mobile number of the site's region."""
    settings = config.callback
    nominal = f"{settings.hours_from:%H:%M} to {settings.hours_to:%H:%M}"
    exempt = f"; at any hour within {settings.exempt_s / 60:g} min of the drop" if settings.exempt_s else ""
    if settings.zones == "line":
        return ok(_CHECK, f"{nominal} in the line's zone, or the client's own where imported{exempt}")
    example = phonenumbers.example_number_for_type(config.site.region, PhoneNumberType.MOBILE)
    zones: tuple[ZoneInfo, ...] = ()
    if example is not None:
        zones = candidate_zones(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
    rule = f"{nominal} in every zone a number can be in"
    if len(zones) < 2:
        return ok(_CHECK, f"{rule}, or the client's own where imported{exempt}")
    spans, left_h = _spans(config, zones, time.time_ns() // 1_000_000 if now_ms is None else now_ms)
    when = f"{spans} {config.site.timezone}, {left_h:g} h a day" if spans else "never"
    found = f"{rule}; a mobile of {config.site.region} can be in {len(zones)}: {when}{exempt}"
    nominal_h = (
        datetime.combine(datetime.min, settings.hours_to)  # noqa: DTZ901 - a difference of two
        - datetime.combine(datetime.min, settings.hours_from)  # noqa: DTZ901
    ) / timedelta(hours=1)
    if left_h * 2 > nominal_h:
        return ok(_CHECK, found)
    return warning(
        _CHECK,
        found,
        'where most clients are near, callback.zones = "line" takes the line\'s zone;'
        " where it is known, `callsteward zones import` gives a client their own",
    )


def _spans(config: Config, zones: tuple[ZoneInfo, ...], now_ms: int) -> tuple[str, float]:
    """The site's present day: the times at which all zones are within hours, and how many hours these are."""
    zone = config.site.zone
    midnight = datetime.fromtimestamp(now_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    steps = 24 * 60 // _STEP_MIN
    begin_ms = round(midnight.timestamp() * 1000)
    step_ms = _STEP_MIN * 60_000
    allowed = [open_in_every(zones, config.callback, begin_ms + step * step_ms) for step in range(steps)]
    spans: list[tuple[int, int]] = []
    for step, is_open in enumerate(allowed):
        if is_open and spans and spans[-1][1] == step:
            spans[-1] = (spans[-1][0], step + 1)
        elif is_open:
            spans.append((step, step + 1))

    def clock(step: int) -> str:
        return f"{datetime.fromtimestamp((begin_ms + step * step_ms) / 1000, zone):%H:%M}"

    told = ", ".join(f"{clock(start)} to {clock(end)}" for start, end in spans)
    return told, sum(allowed) * _STEP_MIN / 60
